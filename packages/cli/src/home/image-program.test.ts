import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryDirectory } from '../fake-world.test-kit.ts';
import { Home } from './home.ts';
import { InstalledImages } from './image-program.ts';

/** A program that does what `script` says; its words after `image --home …` are in `words`. */
async function program(script: string): Promise<InstalledImages> {
  const directory = temporaryDirectory();
  const path = join(directory, 'daemon.mjs');
  const words = 'process.argv.slice(5).filter((word) => word !== "--allow-root")';
  await writeFile(
    path,
    `const words = ${words}; const tell = (line) => console.log(JSON.stringify(line)); ${script}`,
  );
  return new InstalledImages(new Home(join(directory, 'home')), () => path);
}

describe('InstalledImages', () => {
  it('builds, and tells what came of it', async () => {
    const images = await program(
      'tell({kind: "built", image: words.join(" "), name: "localhost/a:1"});',
    );
    expect(await images.build({ directory: '/d', tag: 'a:1', file: '/d/F' })).toEqual({
      image: 'build /d --tag a:1 --file /d/F',
      name: 'localhost/a:1',
    });
  });

  it('lists', async () => {
    const images = await program(
      'console.log("not for you"); tell({kind: "image", image: "sha256:a", references: words});',
    );
    expect(await images.list()).toEqual({ 'sha256:a': ['ls'] });
  });

  it('resolves, and passes on how far a pull is', async () => {
    const images = await program(`
      tell({kind: 'progress', reference: 'a', line: 'pulling a'});
      for (const reference of words.slice(words.indexOf('--') + 1))
        tell({kind: 'resolved', reference, image: words.join(' '), arch: 'amd64'});`);
    const lines: string[] = [];
    const found = await images.resolve(['a', '-b'], (line) => lines.push(line));
    expect(found.map(({ reference }) => reference)).toEqual(['a', '-b']);
    expect(found[0]).toMatchObject({ kind: 'resolved', image: 'resolve --pull -- a -b' });
    expect(lines).toEqual(['pulling a']);
    expect(await images.resolve(['a'], false)).toMatchObject([{ image: 'resolve -- a' }]);
    expect(await images.resolve([], false)).toEqual([]);
  });

  it('fails with the words of the program', async () => {
    const images = await program('console.error("podmesh: no Podman"); process.exitCode = 1;');
    await expect(images.list()).rejects.toThrow(/^no Podman$/);
    const silent = await program('process.exitCode = 1;');
    await expect(silent.build({ directory: '/d', tag: 'a' })).rejects.toThrow('no image was built');
    await expect(silent.list()).rejects.toThrow('image ls failed');
    const odd = await program('');
    await expect(odd.build({ directory: '/d', tag: 'a' })).rejects.toThrow('did not tell');
  });
});
