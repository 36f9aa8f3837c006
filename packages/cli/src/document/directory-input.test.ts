import { execFile } from 'node:child_process';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { storePath } from '@podmesh/jetstream';
import { expect, it } from 'vitest';
import { FakeWorld, temporaryDirectory } from '../fake-world.test-kit.ts';
import { findingsOfDirectory } from './directory-input.ts';

async function directoryWith(links: Readonly<Record<string, string>>): Promise<string> {
  const root = temporaryDirectory();
  await mkdir(join(root, 'sub/deep'), { recursive: true });
  await writeFile(join(root, 'sub/file'), 'x');
  for (const [path, target] of Object.entries(links)) await symlink(target, join(root, path));
  return root;
}

/** What an upload says to the same directory: the two must never differ. */
async function isStored(root: string): Promise<boolean> {
  const { others } = new FakeWorld();
  return storePath(root, others.artifacts).then(
    () => true,
    () => false,
  );
}

it.each([
  ['within', 'sub/link', 'file'],
  ['within, by a way up', 'sub/deep/link', '../file'],
  ['to its own folder', 'sub/link', '.'],
  // Editors leave such as locks; a task may make what it leads to.
  ['to something missing within', 'sub/link', 'nobody@here.123'],
])('a link that leads %s is kept', async (_, path, target) => {
  const root = await directoryWith({ [path]: target });
  expect(await findingsOfDirectory(root)).toEqual([]);
  expect(await isStored(root)).toBe(true);
});

it.each([
  ['outside', 'sub/link', '/etc/hostname'],
  ['outside, by ways up', 'sub/link', '../../x'],
  ['to nothing outside', 'link', '/nowhere/at/all'],
  ['into the unknown', 'sub/link', 'deep/../../../x'],
])('a link that leads %s is told with its path', async (_, path, target) => {
  const root = await directoryWith({ [path]: target });
  expect(await findingsOfDirectory(root)).toEqual([
    {
      problem: `the directory ${root} has a link that leads outside of it, or may: ${path}, a link to ${target}`,
      advice: expect.stringContaining('cp -rL'),
    },
  ]);
  expect(await isStored(root)).toBe(false);
});

it('many are told by their number, the first ones by their paths', async () => {
  const names = Array.from({ length: 1_234 }, (_, i) => `link${String(i).padStart(4, '0')}`);
  const root = await directoryWith(Object.fromEntries(names.map((name) => [name, '/etc'])));
  const found = await findingsOfDirectory(root);
  expect(found).toHaveLength(11);
  expect(found[9]?.problem).toContain('link0009, a link to /etc');
  expect(found[10]?.problem).toBe(`1,224 more like these in ${root}`);
});

it('what has no bytes is told as well', async () => {
  const root = await directoryWith({});
  await promisify(execFile)('mkfifo', [join(root, 'sub/pipe')]);
  const [finding] = await findingsOfDirectory(root);
  expect(finding?.problem).toContain('neither a file, a directory nor a link: sub/pipe');
  expect(await isStored(root)).toBe(false);
});
