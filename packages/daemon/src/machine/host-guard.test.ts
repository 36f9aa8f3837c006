import { type ClaimId, type ContainerSample, claimId, type Offer } from '@podmesh/core';
import { freshLane, freshRun, SMALL, sampleOffer } from '@podmesh/testkit';
import { describe, expect, it } from 'vitest';
import { newBench, settled, silent } from '../daemon.test-kit.ts';
import type { RunningAttempt } from '../execute/active-attempts.ts';
import type { StopOrder } from '../execute/stop-order.ts';
import { HostGuard } from './host-guard.ts';
import { FREE_DISK_BYTES_MIN, type MemoryReading } from './pressure.ts';

const MIB = 2 ** 20;

/** A machine with these attempts, oldest first; `end` ends none until the test says so. */
function newGuard(
  names: readonly string[],
  samples: Readonly<Record<string, ContainerSample>> = {},
) {
  const { clock, process } = newBench();
  const machine = {
    memory: { totalBytes: 1_000, availableBytes: 500 } as MemoryReading,
    freeDiskBytes: 10 * FREE_DISK_BYTES_MIN,
  };
  const attempts = new Map<ClaimId, RunningAttempt>();
  const held = new Set<ClaimId>();
  for (const name of names) {
    const claim = claimId(name);
    const offer: Offer = {
      ...sampleOffer(freshRun(), freshLane()),
      requirements: { ...SMALL, diskBytes: name.startsWith('asked') ? 100 * MIB : 0 },
    };
    const container = { sample: async () => samples[name] ?? {} };
    attempts.set(claim, { claim, offer, container: container as RunningAttempt['container'] });
    held.add(claim);
  }
  const ended: [ClaimId, StopOrder['kind']][] = [];
  let changes = 0;
  const guard = new HostGuard({
    measures: {
      memory: async () => machine.memory,
      freeDiskBytes: async () => machine.freeDiskBytes,
      disk: '/home',
    },
    clock: process.clock,
    logger: silent,
    running: () => [...attempts.values()],
    holds: (claim) => held.has(claim),
    end: (claim, order) => void ended.push([claim, order.kind]),
    onChange: () => {
      changes += 1;
    },
  });
  const start = () => settled(clock, guard.start());
  const stop = () => settled(clock, guard.stop());
  return { clock, guard, machine, attempts, held, ended, start, stop, changes: () => changes };
}

describe('the guard of the machine', () => {
  it('pauses under pressure, with a reason, and goes on when that is over', async () => {
    const { clock, guard, machine, start, stop, ended, changes } = newGuard(['a']);
    await start();
    expect(guard.reasons()).toEqual([]);
    machine.memory = { totalBytes: 1_000, availableBytes: 500, someStalled: 0.5 };
    machine.freeDiskBytes = FREE_DISK_BYTES_MIN - 1;
    await clock.advance(1_000);
    expect(guard.reasons().map((reason) => reason.slice(0, 15))).toEqual([
      'memory pressure',
      'only 512 MiB of',
    ]);
    machine.memory = { totalBytes: 1_000, availableBytes: 500 };
    machine.freeDiskBytes = 2 * FREE_DISK_BYTES_MIN;
    await clock.advance(1_000);
    expect(guard.reasons()).toEqual([]);
    expect([changes(), ended]).toEqual([2, []]);
    await stop();
  });

  it('ends the youngest for want of memory, and no second one before that has ended', async () => {
    const { clock, machine, attempts, start, stop, ended } = newGuard(['old', 'middle', 'young']);
    await start();
    machine.memory = { totalBytes: 1_000, availableBytes: 10 };
    await clock.advance(5_000);
    expect(ended).toEqual([['young', 'oom-host']]);
    attempts.delete(claimId('young'));
    await clock.advance(1_000);
    expect(ended.slice(1)).toEqual([['middle', 'oom-host']]);
    attempts.delete(claimId('middle'));
    machine.memory = { totalBytes: 1_000, availableBytes: 500 };
    await clock.advance(60_000);
    expect(ended).toHaveLength(2);
    await stop();
  });

  it('waits for the average to tell what one ending did against stalls', async () => {
    const { clock, machine, attempts, start, stop, ended } = newGuard(['old', 'young']);
    machine.memory = { totalBytes: 1_000, availableBytes: 500, fullStalled: 0.5 };
    await start();
    attempts.delete(claimId('young'));
    await clock.advance(9_000);
    expect(ended).toEqual([['young', 'oom-host']]);
    await clock.advance(1_000);
    expect(ended.slice(1)).toEqual([['old', 'oom-host']]);
    await stop();
  });

  it('ends whoever wrote the most beyond what it asked for, and waits until its disk is free', async () => {
    const { clock, machine, attempts, held, start, stop, ended } = newGuard(
      ['asked-little', 'asked-much', 'plain', 'idle'],
      {
        'asked-little': { scratchBytes: 150 * MIB },
        'asked-much': { scratchBytes: 90 * MIB },
        plain: { scratchBytes: 60 * MIB },
      },
    );
    machine.freeDiskBytes = FREE_DISK_BYTES_MIN / 4;
    await start();
    expect(ended).toEqual([['plain', 'disk-host']]);
    attempts.delete(claimId('plain'));
    await clock.advance(10_000);
    expect(ended).toHaveLength(1);
    held.delete(claimId('plain'));
    await clock.advance(1_000);
    expect(ended.slice(1)).toEqual([['asked-little', 'disk-task']]);
    for (const set of [attempts, held]) set.delete(claimId('asked-little'));
    await clock.advance(60_000);
    // The others are not to blame for what the disk is full of.
    expect(ended).toHaveLength(2);
    await stop();
  });

  it('survives a machine that cannot be measured, and stops before and after its start', async () => {
    const { clock, guard, machine, start, stop } = newGuard([]);
    machine.memory = undefined as never;
    await start();
    await clock.advance(3_000);
    expect(guard.reasons()).toEqual([]);
    await stop();
    await stop();
    const other = newGuard([]);
    await other.stop();
    await other.start();
    expect(other.guard.reasons()).toEqual([]);
  });
});
