import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Kitchen } from './chain.ts';
import { ChainSpawner } from './chain-spawner.ts';
import { processesOf } from './machine-view.test-kit.ts';

/** Writes down the fields of its order in one go, after the script and the words that all chains share. */
const CHAIN =
  '#!/bin/sh\nwhile [ "$1" != podmesh-chain ]; do shift; done; shift 4; printf "%s|" "$@" >>"$1.fields"; echo >>"$1.fields"\n';
const SPAWNER = /while read -r d/;

/** A spawner whose chains only write down what they were told; nothing of it needs a namespace. */
async function newSpawner() {
  const directory = await mkdtemp(join(tmpdir(), 'podmesh-spawner-'));
  const busybox = join(directory, 'busybox');
  await writeFile(busybox, '#!/bin/sh\nshift\nexec /bin/sh "$@"\n', { mode: 0o755 });
  await writeFile(join(directory, 'unshare'), CHAIN, { mode: 0o755 });
  const namespace = {
    words: (argv: readonly string[]) => argv,
    env: { PATH: `${directory}:${process.env.PATH}` },
  };
  const kitchen = { namespace, busybox, crun: 'crun', state: '/state', merged: '/merged' };
  const spawner = new ChainSpawner(kitchen as unknown as Kitchen, {});
  onTestFinished(async () => {
    await spawner.stop();
    await rm(directory, { recursive: true, force: true });
  });
  const place = (name: string) => join(directory, name);
  return {
    spawner,
    /** What a chain was told, and how often. */
    told: async (name: string) => {
      const text = () => readFile(`${place(name)}.fields`, 'utf8').catch(() => '');
      await expect.poll(text, { interval: 2, timeout: 120_000 }).toMatch(/\n$/);
      return (await text()).trim().split('\n');
    },
    order: (name: string, ...fields: string[]) =>
      [place(name), '3<>/dev/null', ...fields].join('\t'),
    shells: () => shellsOf(directory),
  };
}

async function shellsOf(directory: string) {
  return (await processesOf(directory)).filter(({ words }) => SPAWNER.test(words));
}

async function killed(shells: () => ReturnType<typeof shellsOf>): Promise<void> {
  const [shell] = await shells();
  if (shell === undefined) throw new Error('no shell');
  process.kill(shell.pid, 'SIGKILL');
}

describe('ChainSpawner', () => {
  it('hands the fields of an order on as they are, by one shell for all', async () => {
    const { spawner, order, told, shells } = await newSpawner();
    const odd = ['a b', '*', '$HOME `id`', "it's", '"', '\\n'];
    await spawner.start(order('a', ...odd), () => undefined);
    await spawner.start(order('b'), () => undefined);
    const [a] = await told('a');
    expect(a?.split('|').slice(1, -1)).toEqual(odd);
    await told('b');
    expect(await shells()).toHaveLength(1);
  });

  it('opens one shell for many that ask at the same time', async () => {
    const { spawner, order, told, shells } = await newSpawner();
    const names = ['a', 'b', 'c', 'd'];
    await Promise.all(names.map((name) => spawner.start(order(name), () => undefined)));
    for (const name of names) expect(await told(name)).toHaveLength(1);
    expect(await shells()).toHaveLength(1);
  });

  it('tells whoever has not heard of a chain that its shell is gone, and nobody else', async () => {
    const { spawner, order, told, shells } = await newSpawner();
    const gone: string[] = [];
    const forget = await spawner.start(order('heard'), () => gone.push('heard'));
    await told('heard');
    forget();
    await spawner.start(order('open'), () => gone.push('open'));
    await killed(shells);
    await expect.poll(() => gone, { interval: 2, timeout: 120_000 }).not.toEqual([]);
    // Who orders after that gets another shell, whose end is not told to those before.
    await spawner.start(order('next'), () => gone.push('next'));
    await told('next');
    await killed(shells);
    await expect.poll(() => gone.includes('next'), { interval: 2, timeout: 120_000 }).toBe(true);
    expect(gone).toEqual(['open', 'next']);
    expect(await told('heard')).toHaveLength(1);
  });

  it('loses no order to a shell that is dying without anybody knowing', async () => {
    const { spawner, order, told, shells } = await newSpawner();
    for (const name of ['a', 'b', 'c', 'd', 'e']) {
      await spawner.start(order(`${name}0`), () => undefined);
      await killed(shells);
      let forget = () => {};
      const ask = async () => {
        forget = await spawner.start(order(name), () => void ask());
      };
      await ask();
      await told(name);
      forget();
    }
  });

  it('ends its shell, starts none after that, and stops twice or without a start', async () => {
    const { spawner, order, told, shells } = await newSpawner();
    const gone: string[] = [];
    await spawner.start(order('a'), () => gone.push('a'));
    await told('a');
    await spawner.stop();
    await spawner.stop();
    expect(await shells()).toEqual([]);
    await expect(spawner.start(order('b'), () => undefined)).rejects.toThrow('closed');
    const unused = await newSpawner();
    await unused.spawner.stop();
    expect(await unused.shells()).toEqual([]);
  });

  it('says why no shell could be started', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'podmesh-spawner-'));
    onTestFinished(() => rm(directory, { recursive: true, force: true }));
    const busybox = join(directory, 'busybox');
    await writeFile(busybox, '#!/bin/sh\necho no such namespace >&2; exit 1\n', { mode: 0o755 });
    const namespace = { words: (argv: readonly string[]) => argv, env: {} };
    const kitchen = { namespace, busybox, crun: 'c', state: '/s', merged: '/m' };
    const spawner = new ChainSpawner(kitchen as unknown as Kitchen, {});
    await expect(spawner.cgroup()).rejects.toThrow('no such namespace');
    await writeFile(busybox, '#!/bin/sh\nshift\nexec /bin/sh "$@"\n', { mode: 0o755 });
    expect(await spawner.cgroup()).toBeUndefined();
    await spawner.stop();
  });
});
