import {
  type Link,
  type PeerEntry,
  peerId,
  type SleepingPeer,
  toRequirements,
} from '@podmesh/core';
import { DirectProcess, FakeMesh, samplePeer, VirtualClock } from '@podmesh/testkit';
import { describe, expect, it } from 'vitest';
import { settled, silent } from '../daemon.test-kit.ts';
import { localTimeIn } from './local-time-in.ts';
import { Waker } from './waker.ts';

const HOME = '192.168.1.0/24';
const LINK = { mac: '00:11:22:33:44:55', network: HOME };
const SLEEPER: SleepingPeer = {
  peer: peerId('attic'),
  hostname: 'attic.lan',
  since: '2026-11-22T01:00:00Z',
  offering: { ...samplePeer(), arch: 'amd64', labels: [], runtimes: ['podman'] },
  links: [LINK, { mac: '00:11:22:33:44:66', network: '10.0.0.0/8' }],
  quiet: [],
  timeZone: 'Europe/Paris',
};
/** Noon in Paris. */
const NOON_MS = Date.UTC(2026, 10, 22, 11);

async function newMesh(names: readonly string[], sleeper: Partial<SleepingPeer> = {}) {
  const clock = new VirtualClock();
  const mesh = new FakeMesh(clock);
  const sent: { readonly by: string; readonly links: readonly Link[] }[] = [];
  const busy = { cpus: 0, memoryBytes: 0, diskBytes: 0, gpus: 0 };
  const wakers = names.map((name) => {
    const process = new DirectProcess(name, clock);
    const { peers, sleepers } = mesh.portsFor(process);
    const announce = (changes: Partial<PeerEntry> = {}) =>
      peers.announce({
        ...samplePeer(),
        peer: peerId(name),
        free: busy,
        networks: [HOME],
        ...changes,
      });
    const waker = new Waker({
      peer: peerId(name),
      peers,
      sleepers,
      networks: () => (name === 'afar' ? ['172.16.0.0/12'] : [HOME]),
      send: async (links) => void sent.push({ by: name, links }),
      now: () => NOON_MS,
      clock: process.clock,
      logger: silent,
    });
    return { waker, announce, sleepers };
  });
  const [first] = wakers;
  if (first === undefined) throw new Error('a mesh has peers');
  await first.sleepers.note({ ...SLEEPER, ...sleeper });
  const { announce } = first;
  /** Heartbeats say that such a task waits. */
  const pass = async (ms: number, wants = [toRequirements({})]) => {
    for (let left = ms; left > 0; left -= 5_000) {
      for (const one of wakers) await settled(clock, one.announce());
      await settled(clock, announce(wants.length === 0 ? {} : { wanted: wants }));
      await clock.advance(Math.min(5_000, left));
    }
  };
  for (const { waker } of wakers) waker.start();
  const stop = () => settled(clock, Promise.all(wakers.map(({ waker }) => waker.stop())));
  const listed = async () => (await first.sleepers.list())[0]?.sleeper;
  return { sent, waker: first.waker, pass, stop, listed, clock };
}

describe('machines that wake others when work waits', () => {
  it('are one of those in its network, once, and only into that network', async () => {
    const { sent, pass, stop, listed } = await newMesh(['afar', 'one', 'two', 'three']);
    await pass(60_000, []);
    expect(sent).toEqual([]);
    await pass(60_000);
    expect(sent).toHaveLength(1);
    expect(sent[0]?.links).toEqual([LINK]);
    expect(sent[0]?.by).not.toBe('afar');
    expect((await listed())?.calls).toEqual({ count: 1, by: sent[0]?.by });
    await stop();
  });

  it('try again for a while, in turns, ever less often, and leave it then', async () => {
    const { sent, pass, stop, listed } = await newMesh(['one', 'two']);
    await pass(3 * 3_600_000);
    expect(sent).toHaveLength(5);
    expect(new Set(sent.map(({ by }) => by))).toEqual(new Set(['one', 'two']));
    expect((await listed())?.calls?.count).toBe(5);
    await stop();
  });

  it.each<[string, Partial<SleepingPeer>]>([
    ['its owner forbids it', { forbids: 'wake: false' }],
    ['it is a quiet time of its day', { quiet: [{ fromMinute: 11 * 60, toMinute: 13 * 60 }] }],
    ['nobody knows its time', { quiet: [{ fromMinute: 0, toMinute: 1 }], timeZone: 'Moon/Sea' }],
    ['it is in other networks', { links: [{ ...LINK, network: '192.168.2.0/24' }] }],
    ['it has no card', { links: [] }],
  ])('leave it asleep where %s, also at a word', async (_, sleeper) => {
    const { sent, pass, stop, waker, clock } = await newMesh(['one'], sleeper);
    await pass(120_000);
    const answer = await settled(clock, waker.wake(peerId('attic'), 'ann'));
    expect(answer.kind).toBe('refused');
    expect(sent).toEqual([]);
    await stop();
  });

  it('wake it in the hours that are not quiet', async () => {
    const quiet = [{ fromMinute: 13 * 60, toMinute: 11 * 60 }];
    const { sent, pass, stop } = await newMesh(['one'], { quiet });
    await pass(60_000);
    expect(sent).toHaveLength(1);
    await stop();
  });

  it('send at a word, and know nobody who did not say that it sleeps', async () => {
    const { sent, stop, waker, clock } = await newMesh(['one']);
    expect(await settled(clock, waker.wake(peerId('attic'), 'ann'))).toEqual({ kind: 'done' });
    expect(sent).toEqual([{ by: 'one', links: [LINK] }]);
    // Many words within seconds are one call.
    for (const by of ['ann', 'bob'])
      expect(await settled(clock, waker.wake(peerId('attic'), by))).toEqual({ kind: 'done' });
    expect(sent).toHaveLength(1);
    await clock.advance(5_000);
    expect(await settled(clock, waker.wake(peerId('attic'), 'bob'))).toEqual({ kind: 'done' });
    expect(sent).toHaveLength(2);
    const other = await settled(clock, waker.wake(peerId('barn'), 'ann'));
    expect(other).toMatchObject({ kind: 'refused', message: expect.stringContaining('barn') });
    await stop();
  });
});

it('the time of a day is that of the place', () => {
  expect(localTimeIn('Europe/Paris', NOON_MS)).toEqual({ day: 0, minute: 720 });
  expect(localTimeIn('Pacific/Auckland', NOON_MS)).toEqual({ day: 1, minute: 0 });
  expect(localTimeIn('Moon/Sea', NOON_MS)).toBeUndefined();
});
