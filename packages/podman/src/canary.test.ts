import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readlinkSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ContainerRuntime } from '@podmesh/core';
import { peerId } from '@podmesh/core';
import { expect, it, onTestFinished, vi } from 'vitest';
import { runCanary, sweepCanaries } from './canary.ts';

async function newTemporary(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'podmesh-sweep-'));
  vi.stubEnv('TMPDIR', directory);
  onTestFinished(async () => {
    vi.unstubAllEnvs();
    await rm(directory, { recursive: true, force: true });
  });
  return directory;
}

/** What the directories of a process that has been killed are called. */
async function deadName(): Promise<string> {
  const child = spawn('sleep', ['1000']);
  await once(child, 'spawn');
  const startTicks = readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(' ')[21];
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
  const namespace = readlinkSync('/proc/self/ns/pid').replace(/\D/g, '');
  return `podmesh-canary-${namespace}.${child.pid}.${startTicks}-abcdef`;
}

it('sweeps what is left of the canaries of daemons that were killed', async () => {
  const directory = await newTemporary();
  const dead = await deadName();
  const kept = ['podmesh-canary-1.2.3-abcdef', 'podmesh-canary-young', 'somebody-else'];
  for (const name of [dead, ...kept, 'podmesh-canary-old']) {
    await mkdir(join(directory, name));
    await writeFile(join(directory, name, 'image.tar'), '');
  }
  await utimes(join(directory, 'podmesh-canary-old'), 1, 1);
  await symlink('somebody-else', join(directory, dead.replace('abcdef', 'linked')));
  await sweepCanaries();
  const left = [...kept, dead.replace('abcdef', 'linked')];
  expect((await readdir(directory)).sort()).toEqual(left.sort());
  expect(await readdir(join(directory, 'somebody-else'))).toEqual(['image.tar']);
});

it('leaves a canary alone that flies', async () => {
  const directory = await newTemporary();
  const seen: string[][] = [];
  const runtime = {
    describe: async () => {
      await sweepCanaries();
      seen.push(await readdir(directory));
      throw new Error('seen enough');
    },
  } as unknown as ContainerRuntime;
  const { signal } = new AbortController();
  expect(await runCanary(runtime, peerId('p'), '/bin/true', signal)).toBe('seen enough');
  const [[name = ''] = []] = seen;
  expect(name).toMatch(new RegExp(`^podmesh-canary-\\d+\\.${process.pid}\\.\\d+-`));
  expect(await readdir(directory)).toEqual([]);
});
