import { PortError } from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import { CALM, type FaultKind, faultAtCall } from './fault-plan.ts';
import type { SimProcess } from './sim-process.ts';
import { World } from './world.ts';

function processWith(fault?: FaultKind) {
  const plan = fault === undefined ? CALM : faultAtCall(1, fault);
  const world = new World({ seed: 'process', plan: { ...plan, restartMs: [100, 100] } });
  const seen: string[] = [];
  const machine = world.machine('m', () => undefined);
  machine.start();
  const process = machine.process as SimProcess;
  const call = (name = 'call') =>
    process
      .call(name, () => {
        seen.push(`${name} happened`);
        return 42;
      })
      .then(
        (value) => seen.push(`${name} answered ${value}`),
        (error: unknown) => seen.push(error instanceof PortError ? `${name} failed` : 'bug'),
      );
  return { world, machine, process, seen, call };
}

describe('a call of a simulated process', () => {
  it.each([
    [undefined, ['call happened', 'call answered 42']],
    ['crash-before', []],
    ['crash-after', ['call happened']],
    ['lose-request', ['call failed']],
    ['lose-answer', ['call happened', 'call failed']],
  ] as const)('meets %s', async (fault, expected) => {
    const { world, seen, call } = processWith(fault);
    void call();
    await world.run(60_000);
    expect(seen).toEqual(expected);
  });

  it('leaves late when its process freezes before it', async () => {
    const { world, process, seen, call } = processWith('freeze-before');
    void call();
    await world.run(500);
    expect({ state: process.state, seen }).toEqual({ state: 'frozen', seen: [] });
    await world.run(60_000);
    expect(seen).toEqual(['call happened', 'call answered 42']);
  });

  it('is answered late when its process freezes after it', async () => {
    const { world, seen, call } = processWith('freeze-after');
    void call();
    await world.run(500);
    expect(seen).toEqual(['call happened']);
    await world.run(60_000);
    expect(seen).toEqual(['call happened', 'call answered 42']);
  });

  it('waits or fails while the server is out of reach', async () => {
    const outcomes = new Set<string>();
    for (let round = 0; round < 20; round += 1) {
      const { world, seen, call } = processWith();
      world.random.fork('x');
      for (let skip = 0; skip < round; skip += 1) world.random.next();
      world.outage(10_000);
      void call();
      await world.run(9_000);
      expect(seen).not.toContain('call happened');
      await world.run(60_000);
      outcomes.add(seen.join());
    }
    expect(outcomes).toEqual(new Set(['call failed', 'call happened,call answered 42']));
  });

  it('never happens when its process dies on the way', async () => {
    const { world, process, seen, call } = processWith();
    void call();
    process.crash('test');
    await world.run(60_000);
    expect(seen).toEqual([]);
    void call('late');
    await world.run(60_000);
    expect(seen).toEqual([]);
  });
});

describe('a simulated process', () => {
  it('sleeps through a freeze, and wakes when it thaws', async () => {
    const { world, process } = processWith();
    const woke: number[] = [];
    void process.clock.sleep(100).then(() => woke.push(process.clock.nowMs()));
    process.freeze(5_000);
    await world.run(60_000);
    expect(woke).toEqual([5_000]);
  });

  it('ends a sleep with its signal', async () => {
    const { world, process } = processWith();
    const stop = new AbortController();
    let woke = false;
    void process.clock.sleep(1_000_000, stop.signal).then(() => {
      woke = true;
    });
    stop.abort();
    await world.run(1);
    expect(woke).toBe(true);
    await process.clock.sleep(1_000, AbortSignal.abort());
  });

  it('goes on with its helper threads while its main loop is blocked', async () => {
    const { world, process } = processWith();
    const order: string[] = [];
    process.block(1_000);
    process.after(100, () => order.push(`main ${world.nowMs()}`));
    process.after(200, () => order.push(`helper ${world.nowMs()}`), 'helper');
    await world.run(60_000);
    expect(order).toEqual(['helper 200', 'main 1000']);
  });

  it('keeps what arrives in order over a freeze', async () => {
    const { world, process } = processWith();
    const order: number[] = [];
    process.freeze(1_000);
    for (const ms of [300, 100, 200]) process.after(ms, () => order.push(ms));
    await world.run(60_000);
    expect(order).toEqual([100, 200, 300]);
  });

  it('comes back as another process after a crash, on the same machine', async () => {
    const { world, machine, process } = processWith();
    machine.disk.set('key', 'kept');
    machine.crash();
    expect(machine.process).toBeUndefined();
    await world.run(1_000);
    expect(machine.process?.name).toBe('m#2');
    expect(process.state).toBe('crashed');
    expect(machine.process?.newId()).not.toBe(process.newId());
    expect(machine.disk.get('key')).toBe('kept');
  });

  it('stays away when it exited, or crashed for good', async () => {
    const { world, machine, process } = processWith();
    process.exit();
    await world.run(100_000);
    expect(machine.process).toBeUndefined();
    machine.start();
    machine.crash({ forGood: true });
    await world.run(200_000);
    expect(machine.process).toBeUndefined();
  });
});
