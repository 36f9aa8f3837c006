import { type ClaimId, type ContainerRuntime, claimId, peerId } from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import { newBench, settled, silent } from '../daemon.test-kit.ts';
import type { EndingForCircuit } from './circuit.ts';
import { CircuitBreaker } from './circuit-breaker.ts';

function newBreaker(probe: ContainerRuntime['probe']) {
  const { clock, process } = newBench();
  const changes: (string | undefined)[] = [];
  const claims: ClaimId[] = [];
  const breaker = new CircuitBreaker({
    runtime: { probe },
    peer: peerId('p'),
    clock: process.clock,
    logger: silent,
    claims: () => claims,
    onChange: () => void changes.push(breaker.reason),
  });
  return { clock, breaker, changes, claims, stop: () => settled(clock, breaker.stop()) };
}

/** The end of an attempt at a job of its own. */
const ended = (name: string, ending: EndingForCircuit = startFailed) => ({
  claim: claimId(name),
  job: `run/${name}`,
  ending,
});
const startFailed = { kind: 'start-failed', message: 'crun is missing' } as const;

describe('the circuit breaker', () => {
  it('claims only after its first canary', async () => {
    const { clock, breaker, stop } = newBreaker(async () => undefined);
    expect([breaker.allows, breaker.reason]).toEqual([false, expect.any(String)]);
    breaker.start();
    await clock.advance(0);
    expect([breaker.allows, breaker.reason]).toEqual([true, undefined]);
    await stop();
  });

  it('of a machine that is broken tries again, and claims when it was repaired', async () => {
    let trouble: string | undefined = 'no overlay';
    const probesMs: number[] = [];
    const { clock, breaker, changes, claims, stop } = newBreaker(async () => {
      probesMs.push(clock.nowMs());
      return trouble;
    });
    breaker.start();
    await clock.advance(36_000);
    expect(probesMs).toEqual([0, 5_000, 15_000, 35_000]);
    expect(breaker.reason).toContain('no overlay');
    trouble = undefined;
    await clock.advance(40_000);
    expect(breaker.allows).toBe(true);
    claims.push(claimId('trial'));
    expect(breaker.allows).toBe(false);
    breaker.note(ended('trial', 'succeeded'));
    expect(breaker.allows).toBe(true);
    expect(changes.map((reason) => reason === undefined)).toEqual([false, true, true]);
    await stop();
  });

  it('opens when attempts fail although canaries do well, ever more slowly tried', async () => {
    const { clock, breaker, stop } = newBreaker(async () => undefined);
    breaker.start();
    await clock.advance(0);
    for (const job of ['a', 'b', 'c']) breaker.note(ended(job));
    expect(breaker.reason).toContain('crun is missing');
    await clock.advance(5_000);
    expect(breaker.allows).toBe(true);
    breaker.note(ended('d'));
    await clock.advance(9_000);
    expect(breaker.allows).toBe(false);
    await clock.advance(1_000);
    expect(breaker.allows).toBe(true);
    await stop();
  });

  it('leaves a job that fails here by itself to others, and tries it once a minute', async () => {
    const { clock, breaker, stop } = newBreaker(async () => undefined);
    breaker.start();
    await clock.advance(0);
    for (const name of ['a', 'b', 'c']) breaker.note({ ...ended(name), job: 'run/bad' });
    await clock.advance(5_000);
    expect([breaker.allows, breaker.leaves('run/good'), breaker.leaves('run/bad')]).toEqual([
      true,
      false,
      true,
    ]);
    await clock.advance(60_000);
    expect([breaker.leaves('run/bad'), breaker.leaves('run/bad')]).toEqual([false, true]);
    breaker.note({ ...ended('d', 'succeeded'), job: 'run/bad' });
    expect(breaker.leaves('run/bad')).toBe(false);
    await stop();
  });

  it('tells which job it leaves to others and why, until that does well or is offered no more', async () => {
    const { clock, breaker, changes, stop } = newBreaker(async () => undefined);
    breaker.start();
    await clock.advance(0);
    const suspect = async (job: string) => {
      for (const name of ['a', 'b', 'c']) breaker.note({ ...ended(name), job });
      await clock.advance(5_000);
    };
    const told = () => breaker.rationed.map(({ job }) => job);
    expect(told()).toEqual([]);
    await suspect('run/bad');
    expect(breaker.reason).toBeUndefined();
    expect(breaker.rationed).toEqual([
      {
        job: 'run/bad',
        reason: expect.stringMatching(
          /3 attempts in a row .*start-failed: crun is missing; .* other peers .* once in 60 s/,
        ),
      },
    ]);
    await suspect('run/worse');
    expect(told()).toEqual(['run/bad', 'run/worse']);
    const before = changes.length;
    breaker.note({ ...ended('d', 'succeeded'), job: 'run/bad' });
    expect([told(), changes.length]).toEqual([['run/worse'], before + 1]);
    await clock.advance(9 * 60_000);
    breaker.leaves('run/worse');
    await clock.advance(9 * 60_000);
    expect(told()).toEqual(['run/worse']);
    await clock.advance(60_000);
    expect(told()).toEqual([]);
    // Not spoken of, but not forgotten either.
    expect(breaker.leaves('run/worse')).toBe(false);
    expect(told()).toEqual(['run/worse']);
    await stop();
  });

  it('gives up a canary that does not end, and takes an error for trouble', async () => {
    let ways = 0;
    const { clock, breaker, stop } = newBreaker(() => {
      ways += 1;
      if (ways === 1) return new Promise(() => undefined);
      return Promise.reject(new Error('the service is away'));
    });
    breaker.start();
    await clock.advance(60_000);
    expect(breaker.reason).toContain('it had not ended after 60 s');
    await clock.advance(10_000);
    expect(breaker.reason).toContain('the service is away');
    await stop();
  });

  it('stops at any time, and during a canary', async () => {
    const idle = newBreaker(async () => undefined);
    await idle.stop();
    const { clock, breaker, changes, stop } = newBreaker(() => new Promise(() => undefined));
    breaker.start();
    await clock.advance(1_000);
    await stop();
    await stop();
    expect(changes).toEqual([]);
  });
});
