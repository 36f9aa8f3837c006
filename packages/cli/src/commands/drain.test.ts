import type { DrainTold, PeerOrder } from '@podmesh/core';
import { samplePeer } from '@podmesh/testkit';
import { describe, expect, it } from 'vitest';
import { FakeWorld } from '../fake-world.test-kit.ts';
import { fakeDaemon, say } from '../home/fake-daemon.test-kit.ts';

/** A daemon of this home whose drain goes through these states, one for each look. */
async function drainable(states: readonly (DrainTold | undefined)[]) {
  const world = new FakeWorld();
  const left = [...states];
  const asked = await fakeDaemon(world, ({ method, path }, response) => {
    if (method === 'POST') return say(response, 200, { peer: 'oak' });
    if (path !== '/v1/drain') return say(response, 404, { error: 'what?' });
    const drain = left.length > 1 ? left.shift() : left[0];
    say(response, 200, { peer: 'oak', ...(drain === undefined ? {} : { drain }) });
  });
  return { world, asked };
}

const draining: DrainTold = { by: 'me', state: 'draining', unkept: 0 };
const drained: DrainTold = { ...draining, state: 'drained' };

describe('podmesh drain', () => {
  it('tells the daemon of this home, and waits until nothing is in hand', async () => {
    const { world, asked } = await drainable([undefined, undefined, draining, draining, drained]);
    expect(await world.run(['drain', '--deadline', '90s'])).toBe(0);
    expect(asked.filter(({ method }) => method === 'POST')).toEqual([
      { method: 'POST', path: '/v1/drain', body: { deadlineMs: 90_000, by: 'me@here' } },
    ]);
    expect(world.terminal.stderr).toContain('what runs has 90s to end');
    expect(world.terminal.stdout).toBe(
      'oak is drained; to let it claim again: podmesh undrain oak\n',
    );
  });

  it('fails where outputs are on this peer alone, and says so to programs, too', async () => {
    const { world } = await drainable([{ ...drained, unkept: 2 }]);
    expect(await world.run(['drain'])).toBe(1);
    expect(world.terminal.stdout).toContain(
      'outputs or logs of 2 tasks of unfinished runs are on it alone',
    );
    world.terminal.stdout = '';
    expect(await world.run(['drain', '--json'])).toBe(1);
    expect(JSON.parse(world.terminal.stdout)).toEqual({
      peer: 'oak',
      drain: { ...drained, unkept: 2 },
    });
  });

  it('ends its wait with Ctrl-C, and with a change of mind', async () => {
    const { world } = await drainable([draining]);
    const code = world.run(['drain']);
    await world.terminal.until('takes nothing more');
    world.interrupt();
    expect(await code).toBe(1);
    expect(world.terminal.stdout).toContain('oak still drains');
    const other = await drainable([draining, draining, undefined]);
    expect(await other.world.run(['drain'])).toBe(1);
    expect(other.world.terminal.stdout).toBe('oak is not drained\n');
  });

  it('does not wait when detached', async () => {
    const { world } = await drainable([draining]);
    expect(await world.run(['drain', '--detach'])).toBe(0);
  });

  it.each(['soon', '8d', '-1s', '10'])('refuses --deadline %s', async (deadline) => {
    const { world, asked } = await drainable([drained]);
    expect(await world.run(['drain', `--deadline=${deadline}`])).toBe(2);
    expect(asked).toEqual([]);
  });

  it('says what to do where no daemon runs', async () => {
    const world = new FakeWorld();
    expect(await world.run(['drain'])).toBe(1);
    expect(world.terminal.stderr).toContain('podmesh up');
  });
});

describe('podmesh drain and undrain of another peer', () => {
  it('go over the mesh, and wait for what the peer tells everybody', async () => {
    const world = new FakeWorld();
    const entry = samplePeer();
    const told: PeerOrder[] = [];
    const stop = new AbortController();
    await world.others.peers.announce(entry);
    const serving = world.others.orders.serve(
      entry.peer,
      async (order) => {
        told.push(order);
        await world.others.peers.announce({ ...entry, drain: drained });
        return order.kind === 'undrain'
          ? { kind: 'refused', message: 'not now' }
          : { kind: 'done' };
      },
      stop.signal,
    );
    expect(await world.run(['drain', entry.peer])).toBe(0);
    expect(told).toEqual([{ kind: 'drain', deadlineMs: 600_000, by: 'me@here' }]);
    expect(await world.run(['undrain', entry.peer])).toBe(1);
    expect(world.terminal.stderr).toContain(`${entry.peer} refused: not now`);
    stop.abort();
    await serving;
  });

  it('name those who are there where there is no such peer', async () => {
    const world = new FakeWorld();
    const entry = samplePeer();
    await world.others.peers.announce(entry);
    expect(await world.run(['undrain', 'nobody'])).toBe(2);
    expect(world.terminal.stderr).toContain(entry.peer);
  });
});
