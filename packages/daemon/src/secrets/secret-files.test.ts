import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { claimId } from '@podmesh/core';
import { afterAll, expect, it } from 'vitest';
import { SecretFiles } from './secret-files.ts';

/** A memory file system, as every Linux has one. */
const memory = await mkdtemp('/dev/shm/podmesh-test-');
afterAll(() => rm(memory, { recursive: true, force: true }));

const CLAIM = claimId('claim-1');
const SECRETS = { env: { TOKEN: 'token' }, files: { 'key.pem': 'key' } };
const VALUES = new Map([
  ['token', Buffer.from('a token\n')],
  ['key', Buffer.from('a key\n')],
]);
const newFiles = (): SecretFiles => new SecretFiles({ XDG_RUNTIME_DIR: memory }, '/home/of/a/peer');

it('places files that only this user finds, and takes them away', async () => {
  const files = newFiles();
  const placed = await files.place(CLAIM, SECRETS, VALUES);
  expect(await readFile(placed.env.TOKEN ?? '', 'utf8')).toBe('a token');
  const key = placed.files['key.pem'] ?? '';
  expect(await readFile(key, 'utf8')).toBe('a key\n');
  expect((await stat(key)).mode & 0o777).toBe(0o444);
  expect((await stat(join(key, '..', '..', '..'))).mode & 0o777).toBe(0o700);
  expect((await newFiles().values(CLAIM)).map(String)).toEqual(['a token', 'a key\n']);
  await files.remove(CLAIM);
  expect(await newFiles().values(CLAIM)).toEqual([]);
});

it('lets the user of an image read them, whatever the daemon was started with', async () => {
  const before = process.umask(0o077);
  try {
    const placed = await newFiles().place(CLAIM, SECRETS, VALUES);
    expect((await stat(placed.files['key.pem'] ?? '')).mode & 0o777).toBe(0o444);
  } finally {
    process.umask(before);
  }
});

it('places them again for a start that is repeated', async () => {
  const files = newFiles();
  await files.place(CLAIM, SECRETS, VALUES);
  const placed = await files.place(CLAIM, SECRETS, VALUES);
  expect(await readFile(placed.env.TOKEN ?? '', 'utf8')).toBe('a token');
});

it('sweeps what a killed daemon left, and nothing of attempts that go on', async () => {
  const files = newFiles();
  await files.place(CLAIM, SECRETS, VALUES);
  await files.place(claimId('claim-2'), SECRETS, VALUES);
  await newFiles().sweep(new Set([CLAIM]));
  expect(await files.values(CLAIM)).toHaveLength(2);
  expect(await files.values(claimId('claim-2'))).toEqual([]);
});

it('refuses what cannot be a variable', async () => {
  for (const value of [Buffer.from('a\0b'), Buffer.from([0xff, 0xfe])]) {
    const values = new Map([...VALUES, ['token', value]]);
    await expect(newFiles().place(CLAIM, SECRETS, values)).rejects.toThrow(
      'the secret token is not text without NUL characters',
    );
  }
});
