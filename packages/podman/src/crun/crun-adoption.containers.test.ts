import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { collect } from '../container-testbed.test-kit.ts';
import { type CrunTestbed, openCrunTestbed } from './crun-testbed.test-kit.ts';
import { expectNothingLeft } from './expect-nothing-left.test-kit.ts';
import { lanePlaces } from './lane-places.ts';
import { type Listed, processesOf } from './machine-view.test-kit.ts';

let bed: CrunTestbed;
beforeAll(async () => {
  bed = await openCrunTestbed();
});
afterAll(() => expectNothingLeft(bed));

const sh = (script: string) => ({ command: ['/bin/sh', '-c', script] });

describe('a daemon that comes back', () => {
  it('goes on where the log was left, and loses nothing of what it had not read', async () => {
    const before = collect();
    const container = await bed.start(
      sh(
        'echo first; while [ ! -e /tmp/go ] && [ $((i=i+1)) -lt 60000 ]; do echo $i; done; exit 5',
      ),
      before.sink,
    );
    await first(before);
    const crun = await bed.restart();
    await expect(container.wait()).rejects.toMatchObject({ name: 'PodmanAbortedError' });
    const [found] = await crun.leftovers(bed.podman.peer);
    const after = collect();
    found?.replayLog(after.sink);
    expect(await found?.wait()).toMatchObject({ code: 5 });
    const lines = `${before.out()}${after.out()}`.trim().split('\n').slice(1).map(Number);
    // What the first had in hand when it died is lost with it; the rest is there, and in order.
    expect(lines.at(-1)).toBe(59_999);
    expect(lines).toEqual([...lines].sort((a, b) => a - b));
    await found?.remove();
  });

  it('finds an end that nobody saw, with the last words still in the pipe', async () => {
    const log = collect();
    await bed.start(sh('echo ready; read x </tmp/never || sleep 0.2; echo last; exit 6'), log.sink);
    await first(log);
    await bed.crun.close();
    await ended(bed);
    const [found] = await (await bed.restart()).leftovers(bed.podman.peer);
    const after = collect();
    found?.replayLog(after.sink);
    expect(await found?.wait()).toMatchObject({ code: 6 });
    expect(after.out()).toBe('last\n');
    await found?.remove();
    await found?.remove();
  });

  it('can end a task that took away the right to read its streams', async () => {
    const log = collect();
    await bed.start(sh('chmod 0 /dev/stdout /dev/stderr; echo ready; sleep 3600'), log.sink);
    await first(log);
    const [found] = await (await bed.restart()).leftovers(bed.podman.peer);
    found?.replayLog(() => undefined);
    await found?.stop(0);
    expect(await found?.wait()).toMatchObject({ signal: 'SIGKILL' });
    await found?.remove();
  });

  it('deletes what was half made when the other died', async () => {
    const attempts = lanePlaces(bed.directory).attemptsOf(bed.podman.peer);
    const half = join(attempts, 'half-made');
    await mkdir(half, { recursive: true });
    await writeFile(join(half, 'config.json'), '{"annotations":');
    expect(await bed.crun.leftovers(bed.podman.peer)).toEqual([]);
    expect(await readdir(attempts)).toEqual([]);
  });
});

describe('what may be killed', () => {
  it('a chain: the container is lost, and nothing of it lives on', async () => {
    const { container, processes } = await sleeper();
    process.kill(pidOf(processes, CHAIN), 'SIGKILL');
    await expect(container.wait()).rejects.toMatchObject({ name: 'ContainerLostError' });
    await container.remove();
    expect(await processesOf(container.labels.claim)).toEqual([]);
    expect(await bed.crun.leftovers(bed.podman.peer)).toEqual([]);
  });

  it('crun: the container ends with it', async () => {
    const { container, processes } = await sleeper();
    process.kill(pidOf(processes, /^\S*crun /), 'SIGKILL');
    expect(await container.wait()).toMatchObject({ code: 137 });
    await container.remove();
    expect(await processesOf(container.labels.claim)).toEqual([]);
  });

  it('the shell that starts chains: they go on, and there is another for the next', async () => {
    const { container } = await sleeper();
    // Each order falls into another moment of the shell's end.
    for (let round = 0; round < 8; round += 1) {
      process.kill(pidOf(await processesOf(bed.directory), SPAWNER), 'SIGKILL');
      const { exit } = await bed.run({ command: ['true'] });
      expect(exit.code).toBe(0);
    }
    await container.stop(0);
    expect(await container.wait()).toMatchObject({ code: 137, signal: 'SIGKILL' });
    await container.remove();
  });
});

const SPAWNER = /while read -r d/;
const CHAIN = /podmesh-chain \/\S+ /;

async function sleeper() {
  const log = collect();
  const container = await bed.start(sh('echo ready; sleep 1000'), log.sink);
  await first(log);
  return { container, processes: await processesOf(container.labels.claim) };
}

function pidOf(processes: readonly Listed[], pattern: RegExp): number {
  const found = processes.find(({ words }) => pattern.test(words));
  if (found === undefined)
    throw new Error(`no process ${pattern} among ${JSON.stringify(processes)}`);
  return found.pid;
}

async function first(log: { out: () => string }): Promise<void> {
  await expect.poll(log.out, { timeout: 120_000, interval: 5 }).not.toBe('');
}

/** Until every chain has written down its end. */
async function ended({ directory, podman }: CrunTestbed): Promise<void> {
  const attempts = lanePlaces(directory).attemptsOf(podman.peer);
  const [name = ''] = await readdir(attempts);
  const exit = () => readFile(join(attempts, name, 'exit'), 'utf8').catch(() => '');
  await expect.poll(exit, { timeout: 120_000, interval: 5 }).toMatch(/end\n$/);
}
