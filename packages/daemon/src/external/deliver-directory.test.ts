import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ExternalStoreError, type StorePlace } from '@podmesh/core';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../store/store.test-kit.ts';
import { deliverDirectory } from './deliver-directory.ts';

const PREFIX = { kind: 's3', bucket: 'lab', key: 'runs/7/', region: 'eu' } as const;

async function folderOf(files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await temporaryFolder();
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
  return folder;
}

function bucket(fail?: string) {
  const objects = new Map<string, string>();
  const asked: string[] = [];
  const write = async (place: StorePlace, file: { path: string; bytes: number }) => {
    const { key, ...rest } = place as typeof PREFIX;
    expect(rest).toEqual({ kind: 's3', bucket: 'lab', region: 'eu' });
    asked.push(key);
    if (key === fail) throw new ExternalStoreError('failed', 'answered 503', { retryable: false });
    const text = await readFile(file.path, 'utf8');
    expect(file.bytes).toBe(text.length);
    objects.set(key, text);
  };
  return { objects, asked, write };
}

it('stores each file below the prefix, in order, as often as it is asked', async () => {
  const folder = await folderOf({ 'b.txt': 'b', 'a/deep/x': 'xx', 'a/b': '', Z: 'z' });
  await mkdir(join(folder, 'empty'));
  await symlink('a/deep/x', join(folder, 'link'));
  const { objects, asked, write } = bucket();
  for (let times = 0; times < 2; times += 1) await deliverDirectory(folder, PREFIX, write);
  const keys = ['Z', 'a/b', 'a/deep/x', 'b.txt', 'link'].map((name) => `runs/7/${name}`);
  expect(asked).toEqual([...keys, ...keys]);
  expect(objects.get('runs/7/link')).toBe('xx');
});

it('sends nothing of a directory that cannot be there as a whole', async () => {
  const long = await folderOf({ a: 'a', [`${'n'.repeat(200)}/${'m'.repeat(200)}`]: 'x' });
  const prefix = { ...PREFIX, key: `${'p'.repeat(700)}/` };
  const far = bucket();
  await expect(deliverDirectory(long, prefix, far.write)).rejects.toThrow(/at most 1024 bytes/);
  const outside = await folderOf({ a: 'a' });
  await symlink('/etc/hostname', join(outside, 'x'));
  await expect(deliverDirectory(outside, PREFIX, far.write)).rejects.toThrow(/"x" is a link to no/);
  expect(far.asked).toEqual([]);
});

it('ends with the first file that the store does not take, and what is on its way', async () => {
  const names = Array.from({ length: 20 }, (_, at) => String(at).padStart(2, '0'));
  const folder = await folderOf(Object.fromEntries(names.map((name) => [name, name])));
  const { asked, write } = bucket('runs/7/03');
  await expect(deliverDirectory(folder, PREFIX, write)).rejects.toThrow('answered 503');
  expect(asked.length).toBeLessThan(12);
});
