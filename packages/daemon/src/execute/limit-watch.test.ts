import type { ContainerSample, LimitsEnforced } from '@podmesh/core';
import { TASK_PIDS_MAX } from '@podmesh/core';
import { SMALL } from '@podmesh/testkit';
import { describe, expect, it } from 'vitest';
import { newBench } from '../daemon.test-kit.ts';
import { exceededBound, watchedBounds, watchLimits } from './limit-watch.ts';

const MIB = 2 ** 20;
const KERNEL: LimitsEnforced = {
  memory: 'kernel',
  cpus: 'kernel',
  pids: 'kernel',
  disk: 'watched',
};
const WATCHED: LimitsEnforced = { ...KERNEL, memory: 'watched', pids: 'watched' };
const NONE: LimitsEnforced = { memory: 'none', cpus: 'none', pids: 'none', disk: 'none' };
const needs = { ...SMALL, memoryBytes: 64 * MIB, diskBytes: 256 * MIB };

describe('what is watched', () => {
  it.each([
    ['nothing that the kernel holds', KERNEL, { ...needs, diskBytes: 0 }, {}],
    ['a disk that was asked for', KERNEL, needs, { diskBytes: 256 * MIB }],
    [
      'what nobody else holds',
      WATCHED,
      { ...needs, diskBytes: 0 },
      { memoryBytes: 64 * MIB, processes: TASK_PIDS_MAX },
    ],
    ['nothing that cannot be measured', NONE, needs, {}],
  ])('is %s', (_, limits, requirements, expected) => {
    expect(watchedBounds(requirements, limits)).toEqual(expected);
  });
});

describe('a bound', () => {
  const bounds = watchedBounds(needs, WATCHED);

  it.each<[ContainerSample, string | undefined, string]>([
    [{}, undefined, ''],
    [{ memoryBytes: 64 * MIB, scratchBytes: 256 * MIB, processes: 4_096 }, undefined, ''],
    [{ memoryBytes: 65 * MIB }, 'oom-task', 'used more than its 64 MiB of memory (65 MiB)'],
    [{ scratchBytes: 300 * MIB }, 'disk-task', 'wrote more than its 256 MiB of disk (300 MiB)'],
    [{ processes: 4_097 }, 'exit', 'ran 4097 processes at a time; a task may run 4096'],
  ])('of %j is exceeded as %s', (sample, kind, message) => {
    const order = exceededBound(sample, bounds);
    expect(order?.kind).toBe(kind);
    expect(order?.message ?? '').toContain(message);
  });
});

describe('the watch', () => {
  /** A container whose every look takes so long; the last sample is repeated for ever. */
  function newWatch(samples: readonly ContainerSample[], tookMs: number, limits = WATCHED) {
    const { clock, process } = newBench();
    const looks: { readonly fromMs: number; toMs?: number }[] = [];
    const ended = new AbortController();
    const container = {
      sample: async () => {
        const look: (typeof looks)[number] = { fromMs: clock.nowMs() };
        looks.push(look);
        const sample = samples[looks.length - 1] ?? samples.at(-1) ?? {};
        if (tookMs > 0) await process.clock.sleep(tookMs);
        look.toMs = clock.nowMs();
        return sample;
      },
    };
    const bounds = watchedBounds(needs, limits);
    const order = watchLimits(container, bounds, {
      clock: process.clock,
      ended: ended.signal,
      cores: 1,
    });
    return { clock, looks, ended, order };
  }

  it('looks four times a second, until a bound is exceeded', async () => {
    const { clock, looks, order } = newWatch([{}, {}, {}, { memoryBytes: 100 * MIB }], 0);
    await clock.advance(10_000);
    expect(looks.map(({ fromMs }) => fromMs)).toEqual([250, 500, 750, 1_000]);
    expect((await order)?.kind).toBe('oom-task');
  });

  it('costs a tenth of the time at most, and never looks twice at once', async () => {
    const { clock, looks, ended, order } = newWatch([{}], 300);
    await clock.advance(60_000);
    for (const [number, { fromMs }] of looks.entries()) {
      const before = looks[number - 1];
      if (before !== undefined) expect(fromMs - (before.toMs ?? Infinity)).toBe(3_000);
    }
    ended.abort();
    expect(await order).toBeUndefined();
  });

  it('rests for 10 s at most, however long a look takes', async () => {
    const { clock, looks } = newWatch([{}], 5_000);
    await clock.advance(60_000);
    expect(looks.map(({ fromMs }) => fromMs)).toEqual([250, 15_250, 30_250, 45_250]);
  });

  it('never looks where there is nothing to watch', async () => {
    const { clock, looks, order } = newWatch([{ memoryBytes: 1e12 }], 0, NONE);
    await clock.advance(60_000);
    expect(await order).toBeUndefined();
    expect(looks).toEqual([]);
  });

  it('holds a task to the CPU time that is left of a budget, where the kernel holds all else', async () => {
    const { clock, process } = newBench();
    let used = 0;
    const sample = async () => {
      used += 500;
      return { cpuMs: used };
    };
    const told: number[] = [];
    const onCpu = (cpuMs: number) => void told.push(cpuMs);
    const bounds = watchedBounds({ ...needs, diskBytes: 0 }, KERNEL, 1_000);
    const never = new AbortController().signal;
    const order = watchLimits({ sample }, bounds, {
      clock: process.clock,
      ended: never,
      cores: 1,
      onCpu,
    });
    await clock.advance(10_000);
    expect(await order).toMatchObject({
      kind: 'cancelled',
      message: expect.stringContaining('used the 1.0 s of CPU time that were left of a budget'),
    });
    expect(told).toEqual([500, 1_000, 1_500]);
  });

  it.each([
    [4, 20_000, 200],
    [4, 20_000, 1_500],
    [16, 3_000, 0],
    [0.25, 1_000, 10],
  ])(
    'of %d cores that use up %d ms ends a task soon after, although a look takes %d ms',
    async (cores, leftMs, tookMs) => {
      const { clock, process } = newBench();
      const looks: number[] = [];
      const sample = async () => {
        const cpuMs = cores * clock.nowMs();
        looks.push(cpuMs);
        if (tookMs > 0) await process.clock.sleep(tookMs);
        return { cpuMs };
      };
      const bounds = watchedBounds({ ...needs, diskBytes: 0 }, KERNEL, leftMs);
      const { clock: time } = process;
      const never = new AbortController().signal;
      let endedAtMs = 0;
      const order = watchLimits({ sample }, bounds, { clock: time, ended: never, cores });
      void order.then(() => {
        endedAtMs = clock.nowMs();
      });
      await clock.advance(60_000);
      expect((await order)?.kind).toBe('cancelled');
      // A rest of ten times the look, as where much is left, would be 2 s, or 10.
      const lateMs = endedAtMs - leftMs / cores;
      expect(lateMs).toBeLessThanOrEqual(3 * tookMs + 250);
      // Far from it, watching still costs a tenth.
      expect(looks.filter((cpuMs) => cpuMs < leftMs / 4).length).toBeLessThanOrEqual(5);
    },
  );

  it('costs a tenth where a task waits that has next to nothing left', async () => {
    const { clock, process } = newBench();
    let looks = 0;
    const sample = async () => {
      looks += 1;
      await process.clock.sleep(100);
      // A beat of its runtime now and then.
      return { cpuMs: 990 + clock.nowMs() / 100_000 };
    };
    const bounds = watchedBounds({ ...needs, diskBytes: 0 }, KERNEL, 1_000);
    const ended = new AbortController();
    const way = { clock: process.clock, ended: ended.signal, cores: 4 };
    const order = watchLimits({ sample }, bounds, way);
    await clock.advance(110_000);
    ended.abort();
    await clock.advance(10_000);
    expect(await order).toBeUndefined();
    expect(looks).toBeGreaterThan(90);
    expect(looks).toBeLessThan(110);
  });

  it('goes on after a look that failed', async () => {
    const { clock, process } = newBench();
    let looks = 0;
    const sample = async () => {
      looks += 1;
      if (looks < 3) throw new Error('the service is away');
      return { processes: 5_000 };
    };
    const never = new AbortController().signal;
    const order = watchLimits({ sample }, watchedBounds(needs, WATCHED), {
      clock: process.clock,
      ended: never,
      cores: 1,
    });
    await clock.advance(1_000);
    expect((await order)?.kind).toBe('exit');
  });
});
