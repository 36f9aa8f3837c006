import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { namesIn, temporaryFolder } from '../store/store.test-kit.ts';
import { RegistriesFile } from './registries-file.ts';

const GONE = 2 ** 22 + 1;

async function newHome() {
  const home = await temporaryFolder();
  return { env: { HOME: home }, folder: join(home, '.config/containers/registries.conf.d') };
}

it('says of one port that it needs no TLS, and goes with the daemon', async () => {
  const { env, folder } = await newHome();
  const file = new RegistriesFile(env);
  await file.remove();
  await file.write(4711);
  expect(await namesIn(folder)).toEqual(['podmesh-4711.conf']);
  const text = await readFile(join(folder, 'podmesh-4711.conf'), 'utf8');
  expect(text).toContain('[[registry]]\nlocation = "localhost:4711"\ninsecure = true\n');
  expect(text).toContain('location = "127.0.0.1:4711"');
  await file.remove();
  await file.remove();
  expect(await namesIn(folder)).toEqual([]);
});

it('sweeps what killed daemons left, and nothing else', async () => {
  const { env, folder } = await newHome();
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'mine.conf'), 'unqualified-search-registries = []\n');
  await writeFile(join(folder, 'podmesh-1.conf'), '# a person wrote this\n');
  await new RegistriesFile(env, GONE).write(4712);
  await new RegistriesFile(env, process.ppid).write(4713);
  await new RegistriesFile(env).write(4711);
  expect((await readdir(folder)).sort()).toEqual([
    'mine.conf',
    'podmesh-1.conf',
    'podmesh-4711.conf',
    'podmesh-4713.conf',
  ]);
});

it('writes over no file that a person wrote', async () => {
  const { env, folder } = await newHome();
  await mkdir(folder, { recursive: true });
  const path = join(folder, 'podmesh-4711.conf');
  await writeFile(path, '# a person wrote this\n');
  const file = new RegistriesFile(env);
  await expect(file.write(4711)).rejects.toThrow(`${path} is not from podmesh`);
  await file.remove();
  expect(await readFile(path, 'utf8')).toBe('# a person wrote this\n');
});

it('leaves the file to another daemon that has the port by now', async () => {
  const { env, folder } = await newHome();
  const file = new RegistriesFile(env);
  await file.write(4711);
  await new RegistriesFile(env, process.ppid).write(4711);
  await file.remove();
  expect(await namesIn(folder)).toEqual(['podmesh-4711.conf']);
});
