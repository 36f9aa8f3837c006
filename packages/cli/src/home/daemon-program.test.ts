import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryDirectory } from '../fake-world.test-kit.ts';
import { InstalledDaemon } from './daemon-program.ts';
import { Home } from './home.ts';

/** A program that does what `script` says instead of the daemon's work. */
async function program(script: string): Promise<{ daemon: InstalledDaemon; home: Home }> {
  const directory = temporaryDirectory();
  const path = join(directory, 'daemon.mjs');
  await writeFile(path, script);
  const home = new Home(join(directory, 'home'));
  return { daemon: new InstalledDaemon(home, () => path), home };
}

const READY =
  'console.log("not for you"); console.log(JSON.stringify({ready: true, peer: "oak", nats: "nats://x"}));';

describe('InstalledDaemon', () => {
  it('resolves when the one in the background says that it is ready, and lets it live', async () => {
    const { daemon, home } = await program(`
      import { writeFileSync } from 'node:fs';
      writeFileSync(process.argv[3] + '/words', JSON.stringify(process.argv.slice(2)));
      console.error('goes to a file');
      ${READY}`);
    const ready = await daemon.startInBackground(['--until-idle']);
    expect(ready).toEqual({ peer: 'oak', nats: 'nats://x' });
    const words = JSON.parse(await readFile(home.at('words'), 'utf8'));
    expect(words).toEqual(['--home', home.path, '--until-idle']);
  });

  it('tells the last words of one that does not start', async () => {
    const { daemon } = await program('console.error("podmesh: no Podman"); process.exitCode = 1;');
    await expect(daemon.startInBackground([])).rejects.toThrow(
      'the daemon did not start:\npodmesh: no Podman',
    );
  });

  it('passes on the exit code of the one in the foreground', async () => {
    const { daemon } = await program(`${READY} process.exitCode = 7;`);
    const ready: string[] = [];
    expect(await daemon.runInForeground([], ({ peer }) => ready.push(peer))).toBe(7);
    expect(ready).toEqual(['oak']);
    const { daemon: killed } = await program(
      'process.kill(process.pid, "SIGTERM"); setInterval(() => {}, 1e6);',
    );
    expect(await killed.runInForeground([], () => undefined)).toBe(143);
  });

  it('reads the findings of doctor', async () => {
    const finding = { check: 'podman', ok: false, found: 'none', repair: 'install it' };
    const { daemon } = await program(
      `if (process.argv[2] === 'doctor') console.log('${JSON.stringify([finding])}');`,
    );
    expect(await daemon.examine()).toEqual([finding]);
    const { daemon: broken } = await program('process.exitCode = 1;');
    await expect(broken.examine()).rejects.toThrow('could not examine');
  });
});
