import { execFile } from 'node:child_process';
import {
  chmod,
  mkdir,
  readFile,
  readlink,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { makeZip, type ZipEntrySpec } from '@podmesh/testkit';
import { describe, expect, it } from 'vitest';
import { temporaryDirectory } from '../fake-world.test-kit.ts';
import { findingOfProgram, findingOfWheels, withProgram } from './python-program.ts';

const MAIN: ZipEntrySpec = { name: 'main.py', content: 'def main():\n    return 1\n' };

async function zipFile(entries: readonly ZipEntrySpec[] | Uint8Array): Promise<string> {
  const path = join(temporaryDirectory(), 'code.zip');
  await writeFile(path, entries instanceof Uint8Array ? entries : makeZip(entries));
  return path;
}

async function problemOf(entries: readonly ZipEntrySpec[] | Uint8Array): Promise<string> {
  const finding = await findingOfProgram(await zipFile(entries));
  return finding === undefined ? 'none' : `${finding.problem}; ${finding.advice}`;
}

describe('findingOfProgram', () => {
  it('accepts a zip file and a directory with main.py at the top', async () => {
    const data = { name: 'data/x.bin', content: 'x'.repeat(9_999), compressed: true };
    expect(await problemOf([MAIN, { name: 'data/', mode: 0o040755 }, data])).toBe('none');
    expect(await problemOf([{ ...MAIN, name: './main.py' }])).toBe('none');
    const directory = temporaryDirectory();
    await writeFile(join(directory, 'main.py'), '');
    expect(await findingOfProgram(directory)).toBeUndefined();
  });

  it('misses main.py, and says where there is one', async () => {
    expect(await problemOf([{ name: 'x.py' }])).toContain('there is no main.py at the top of');
    expect(await problemOf([{ ...MAIN, name: 'code/main.py' }])).toContain('It has code/main.py');
    expect((await findingOfProgram(temporaryDirectory()))?.problem).toContain('no main.py');
  });

  it.each([
    ['is broken', Buffer.from('this is no zip file')],
    ['is broken', Buffer.alloc(0)],
    ['is broken', makeZip([MAIN]).subarray(0, 40)],
    ['checksum of main.py', [{ ...MAIN, crc32: 1 }]],
    ['is broken', [{ ...MAIN, compressed: true, size: 3 }]],
    ['has main.py twice', [MAIN, MAIN]],
    ['is encrypted: main.py', [{ ...MAIN, encrypted: true }]],
    ['writes outside of its directory: ../evil', [MAIN, { name: '../evil' }]],
    ['writes outside of its directory: a/../../evil', [MAIN, { name: 'a/../../evil' }]],
    ['writes outside of its directory: /etc/evil', [MAIN, { name: '/etc/evil' }]],
    ['has a link that leads outside of it, or may: l, a link', [MAIN, link('l', '/etc')]],
    ['outside of it, or may: a/l, a link to ../../etc', [MAIN, link('a/l', '../../etc')]],
    ['outside of it, or may: a/l, a link', [MAIN, link('a/l', 'b/../../main.py')]],
    ['d is a directory, and a file or a link', [MAIN, { name: 'd' }, { name: 'd/x' }]],
    ['d is a directory, and a file or a link', [MAIN, { name: 'd/x' }, { name: 'd' }]],
    ['d is a directory, and a file or a link', [MAIN, link('d', '.'), { name: 'd/x' }]],
    ['Leave out env, which looks like a virtual', [MAIN, link('env/bin/python3', '/usr/bin/x')]],
    ['holds more than 1 GiB', [MAIN, { name: 'big', compressed: true, size: 2 ** 31 }]],
  ] as const)('says that a zip file %s', async (said, entries) => {
    expect(await problemOf(entries)).toContain(said);
  });

  it('says what keeps a directory from being published: before anything is copied', async () => {
    const directory = temporaryDirectory();
    await writeFile(join(directory, 'main.py'), '');
    await mkdir(join(directory, 'venv/bin'), { recursive: true });
    await symlink('python3', join(directory, 'venv/bin/python'));
    expect(await findingOfProgram(directory)).toBeUndefined();
    await symlink('/usr/bin/python3', join(directory, 'venv/bin/python3'));
    const finding = await findingOfProgram(directory);
    expect(finding?.problem).toBe(
      `the directory ${directory} has a link that leads outside of it, or may: venv/bin/python3, a link to /usr/bin/python3`,
    );
    expect(finding?.advice).toMatch(/Leave out venv.*"requirements"/);
    await expect(withProgram(directory, async () => 'used')).rejects.toThrow('leads outside');
  });

  it('holds a directory to the bounds of a zip file', async () => {
    const directory = temporaryDirectory();
    await writeFile(join(directory, 'main.py'), '');
    await writeFile(join(directory, 'big'), '');
    await truncate(join(directory, 'big'), 2 ** 30 + 1);
    expect((await findingOfProgram(directory))?.problem).toContain('holds more than 1 GiB');
    await expect(withProgram(directory, async () => 'used')).rejects.toThrow('more than 1 GiB');
    await truncate(join(directory, 'big'), 0);
    await promisify(execFile)('mkfifo', [join(directory, 'pipe')]);
    expect((await findingOfProgram(directory))?.problem).toContain('neither a file');
  });

  it('takes a script for what it is', async () => {
    const path = join(temporaryDirectory(), 'main.py');
    await writeFile(path, 'def main(): ...');
    expect((await findingOfProgram(path))?.advice).toContain('Name the directory');
  });
});

describe('withProgram', () => {
  it('unpacks a zip file with its links and executable bits, and leaves nothing', async () => {
    const path = await zipFile([
      { ...MAIN, compressed: true },
      { name: 'bin/tool', content: '#!/bin/sh\n', mode: 0o100755 },
      link('tool', 'bin/tool'),
      { name: 'empty/' },
    ]);
    const left = await withProgram(path, async (folder) => {
      expect(await readFile(join(folder, 'main.py'), 'utf8')).toBe(MAIN.content);
      expect(await readlink(join(folder, 'tool'))).toBe('bin/tool');
      expect((await stat(join(folder, 'bin/tool'))).mode & 0o100).not.toBe(0);
      expect((await stat(join(folder, 'main.py'))).mode & 0o111).toBe(0);
      expect((await stat(join(folder, 'empty'))).isDirectory()).toBe(true);
      return folder;
    });
    await expect(stat(left)).rejects.toThrow('ENOENT');
  });

  it('copies a directory without what Python left in it', async () => {
    const directory = temporaryDirectory();
    await mkdir(join(directory, 'pkg/__pycache__'), { recursive: true });
    for (const name of ['main.py', 'pkg/a.py', 'pkg/__pycache__/a.pyc']) {
      await writeFile(join(directory, name), name);
    }
    await symlink('pkg/a.py', join(directory, 'link'));
    await chmod(join(directory, 'main.py'), 0o755);
    await withProgram(directory, async (folder) => {
      expect(await readFile(join(folder, 'pkg/a.py'), 'utf8')).toBe('pkg/a.py');
      expect(await readlink(join(folder, 'link'))).toBe('pkg/a.py');
      expect((await stat(join(folder, 'main.py'))).mode & 0o100).not.toBe(0);
      await expect(stat(join(folder, 'pkg/__pycache__'))).rejects.toThrow('ENOENT');
    });
  });
});

describe('findingOfWheels', () => {
  it('wants a directory with a wheel in it', async () => {
    const directory = temporaryDirectory();
    expect((await findingOfWheels(directory))?.problem).toContain('holds no .whl file');
    const wheel = join(directory, 'a-1-py3-none-any.whl');
    await writeFile(wheel, '');
    expect(await findingOfWheels(directory)).toBeUndefined();
    expect((await findingOfWheels(wheel))?.problem).toContain('is not a directory');
  });
});

function link(name: string, target: string): ZipEntrySpec {
  return { name, content: target, mode: 0o120777 };
}
