import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Home } from './home.ts';
import { enterHome, HomeVersionError } from './home-version.ts';

let home: string;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'podmesh-home-version-'));
});
afterEach(() => rm(home, { recursive: true, force: true }));

const say = (version: string): Promise<void> => writeFile(join(home, 'version'), version);
const said = (): Promise<string> => readFile(join(home, 'version'), 'utf8');

async function everything(): Promise<unknown> {
  const names = (await readdir(home, { recursive: true })).sort();
  return Promise.all(
    names.map(async (name) => {
      const { mtimeNs, ctimeNs, size, mode } = await stat(join(home, name), { bigint: true });
      return { name, mtimeNs, ctimeNs, size, mode };
    }),
  );
}

it('notes its version in a new home', async () => {
  await enterHome(home, '0.1.0');
  expect(await said()).toBe('0.1.0\n');
  expect((await stat(join(home, 'version'))).mode & 0o777).toBe(0o600);
});

it('takes a home of before versions were noted', async () => {
  await writeFile(join(home, 'peer-id'), 'attic\n');
  await enterHome(home, '0.1.0');
  expect(await said()).toBe('0.1.0\n');
});

it.each([
  ['0.1.0\n', '0.2.0', '0.2.0\n'],
  ['0.1.0\n', '0.7.3', '0.7.3\n'],
  ['0.2.0\n', '0.1.0', '0.2.0\n'],
  ['0.1.5\n', '0.1.0', '0.1.5\n'],
])('a home of %j is entered by %s, and is then of %j', async (before, ours, after) => {
  await say(before);
  await enterHome(home, ours);
  expect(await said()).toBe(after);
});

it.each(['0.3.0\n', '1.0.0\n', 'ten\n', '', '\0\0\0'])(
  'a home of %j is refused by 0.1.0 with a sentence, and not touched',
  async (newer) => {
    await say(newer);
    await mkdir(join(home, 'store'));
    await writeFile(join(home, 'store', 'index'), 'of a later version');
    const before = await everything();
    await expect(enterHome(home, '0.1.0')).rejects.toThrow(HomeVersionError);
    await expect(enterHome(home, '0.1.0')).rejects.toThrow(/PODMESH_HOME/);
    expect(await everything()).toEqual(before);
  },
);

it('a note that cannot be read is not taken for none', async () => {
  await mkdir(join(home, 'version'));
  await expect(enterHome(home, '0.1.0')).rejects.toThrow('EISDIR');
});

it('a refused home stays as it was, whatever its daemon does to end', async () => {
  await say('9.0.0\n');
  await writeFile(join(home, 'daemon.json'), '{}');
  const before = await everything();
  const refused = new Home(home);
  await expect(refused.take('0.1.0')).rejects.toThrow(HomeVersionError);
  await refused.withdraw();
  await refused.release();
  expect(await everything()).toEqual(before);
  // Nor does it keep others out.
  const right = new Home(home);
  await right.take('9.0.0');
  await right.release();
});
