import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ContainerSpec, RunningContainer } from '@podmesh/core';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { collect } from '../container-testbed.test-kit.ts';
import { textOf } from '../output-listing.test-kit.ts';
import { CrunRuntime } from './crun-runtime.ts';
import { type CrunTestbed, insisting, openCrunTestbed } from './crun-testbed.test-kit.ts';
import { expectNothingLeft } from './expect-nothing-left.test-kit.ts';
import { processesOf } from './machine-view.test-kit.ts';

let bed: CrunTestbed;
beforeAll(async () => {
  bed = await openCrunTestbed();
});
afterAll(() => expectNothingLeft(bed));

const SPAWNER = /while read -r d/;
const RUNS = { kind: 'fd', fd: 5 } as const;

/** Counts in a descriptor, which a second chain of the same attempt would open, too. */
const counting = (rest: string) => ({
  command: ['/bin/sh', '-c', `echo run >&5; ${rest}`],
  outputs: { runs: RUNS },
});

const never = () => new AbortController().signal;

async function shell(): Promise<number> {
  const found = (await processesOf(bed.directory)).find(({ words }) => SPAWNER.test(words));
  if (found === undefined) throw new Error('no shell that starts chains');
  return found.pid;
}

async function startOf(spec: ContainerSpec): Promise<RunningContainer> {
  const started = await bed.crun.start(insisting(spec), () => undefined, never());
  if (!started.ok) throw new Error(started.error.message);
  return started.value;
}

describe('a container whose shell is killed', () => {
  it('runs once, while it runs and after its end', async () => {
    const ended = await bed.start(counting('true'));
    expect((await ended.wait()).code).toBe(0);
    const running = await bed.start(counting('sleep 1000'));
    for (let round = 0; round < 3; round += 1) {
      process.kill(await shell(), 'SIGKILL');
      // The next one is started by another shell only when everybody was told of the end of the first.
      expect((await bed.run({ command: ['true'] })).exit.code).toBe(0);
    }
    await running.stop(0);
    for (const container of [ended, running]) {
      expect(await textOf(container, RUNS)).toBe('run\n');
      await container.remove();
    }
  });

  it('runs once, however far its order has come', async () => {
    for (let turns = 0; turns < 24; turns += 1) {
      await bed.run({ command: ['true'] });
      const pid = await shell();
      const starting = bed.start(counting('exit 4'));
      for (let turn = 0; turn < turns * turns; turn += 1) {
        await new Promise((resolve) => setImmediate(resolve));
      }
      process.kill(pid, 'SIGKILL');
      const container = await starting;
      expect((await container.wait()).code).toBe(4);
      expect(await textOf(container, RUNS), `after ${turns ** 2} turns`).toBe('run\n');
      await container.remove();
    }
  });
});

describe('an attempt that is started again', () => {
  it('is refused while the first lives, and leaves that one alone', async () => {
    const spec = await bed.podman.spec(
      counting('echo x >/tmp/x; trap "exit 9" TERM; echo ready; while :; do sleep 0.02; done'),
    );
    const log = collect();
    const started = await bed.crun.start(insisting(spec), log.sink, never());
    if (!started.ok) throw new Error(started.error.message);
    await expect.poll(log.out, { interval: 5, timeout: 120_000 }).toBe('ready\n');
    for (let round = 0; round < 2; round += 1) {
      await expect(startOf(spec)).rejects.toMatchObject({ code: 'EEXIST' });
    }
    expect(await bed.crun.leftovers(bed.podman.peer)).toEqual([started.value]);
    await started.value.stop(20_000);
    expect(await started.value.wait()).toMatchObject({ code: 9 });
    // Ended, and not removed: still the first's.
    await expect(startOf(spec)).rejects.toMatchObject({ code: 'EEXIST' });
    expect(await textOf(started.value, RUNS)).toBe('run\n');
    expect(await textOf(started.value, { kind: 'file', path: '/tmp/x' })).toBe('x\n');
    await started.value.remove();
    const again = await startOf({ ...spec, ...counting('exit 3') });
    expect((await again.wait()).code).toBe(3);
    expect(await textOf(again, RUNS)).toBe('run\n');
    await again.remove();
  });

  it('at the same time runs once, and the one that runs is nobody’s left-over meanwhile', async () => {
    for (let round = 0; round < 5; round += 1) {
      const spec = await bed.podman.spec(counting('exit 5'));
      const both = Promise.allSettled([startOf(spec), startOf(spec), startOf(spec)]);
      await bed.crun.leftovers(bed.podman.peer);
      const started = (await both).filter((one) => one.status === 'fulfilled');
      expect(started).toHaveLength(1);
      const container = started[0]?.value;
      expect((await container?.wait())?.code).toBe(5);
      if (container !== undefined) expect(await textOf(container, RUNS)).toBe('run\n');
      await container?.remove();
    }
  });
});

describe('a container that this lane cannot mount', () => {
  /** So far from the root that the kernel would cut off the mount's options. */
  async function farLane(): Promise<{ crun: CrunRuntime; directory: string }> {
    const parts = Array.from({ length: 19 }, () => 'd'.repeat(200));
    const directory = join(bed.podman.directory, ...parts);
    await mkdir(directory, { recursive: true });
    const crun = await CrunRuntime.open(bed.podman.runtime, { env: process.env, directory });
    onTestFinished(() => crun.close());
    return { crun, directory };
  }

  it('runs in the lane of Podman, which can, unless the job insists', async () => {
    const { crun } = await farLane();
    const log = collect();
    const spec = await bed.podman.spec({ command: ['echo', 'done'] });
    const started = await crun.start(spec, log.sink, never());
    if (!started.ok) throw new Error(started.error.message);
    const container = started.value;
    expect((await container.wait()).code).toBe(0);
    expect({ out: log.out(), replays: container.replays }).toEqual({
      out: 'done\n',
      replays: 'all',
    });
    await container.remove();
    const strict = insisting(await bed.podman.spec({ command: ['true'] }));
    await expect(crun.start(strict, () => undefined, never())).rejects.toMatchObject({
      name: 'CrunUnavailableError',
      retryable: false,
      message: expect.stringMatching(/bytes of options.*runtime podman/),
    });
    expect(await crun.leftovers(bed.podman.peer)).toEqual([]);
  });
});
