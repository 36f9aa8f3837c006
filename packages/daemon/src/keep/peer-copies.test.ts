import {
  type KeepAnswer,
  type KeepOrder,
  type PeerEntry,
  PortError,
  peerId,
  taskId,
} from '@podmesh/core';
import {
  DirectProcess,
  FakeMesh,
  freshRun,
  sampleArtifact,
  samplePeer,
  VirtualClock,
} from '@podmesh/testkit';
import { expect, it } from 'vitest';
import { settled } from '../daemon.test-kit.ts';
import { sha256 } from '../store/local-task-files.ts';
import { PeerCopies } from './peer-copies.ts';

const me = peerId('me');
const order: KeepOrder = {
  run: freshRun(),
  task: taskId('a'),
  apart: true,
  outputs: [sampleArtifact(Buffer.from('what it said')).ref],
};

/** A mesh whose peers give these answers one after the other, and the last for ever. */
function newCase(answers: Readonly<Record<string, readonly KeepAnswer['kind'][]>>) {
  const clock = new VirtualClock();
  const mesh = new FakeMesh(clock);
  const process = new DirectProcess('me', clock);
  const { peers } = mesh.portsFor(process);
  const asked: string[] = [];
  const left = new Map(Object.entries(answers).map(([peer, kinds]) => [peer, [...kinds]]));
  const keep = async (peer: string, given: KeepOrder, signal: AbortSignal): Promise<KeepAnswer> => {
    signal.throwIfAborted();
    expect(given).toEqual(order);
    asked.push(peer);
    const kinds = left.get(peer) ?? [];
    const kind = (kinds.length > 1 ? kinds.shift() : kinds[0]) ?? 'silent';
    return kind === 'refused' ? { kind, message: `${peer} is full` } : { kind };
  };
  const copies = new PeerCopies({
    peer: me,
    peers,
    keepers: { keep },
    clock: process.clock,
    sha256,
  });
  const join = (name: string, more: Partial<PeerEntry> = {}) =>
    mesh.peers.announce({
      ...samplePeer(),
      peer: peerId(name),
      keeps: { freeBytes: 2 ** 40, host: name },
      ...more,
    });
  return { clock, mesh, copies, asked, join, bring: () => settled(clock, copies.bring(order)) };
}

it('asks another peer until it has the bytes', async () => {
  const one = newCase({ bob: ['working', 'working', 'kept'] });
  one.join('me');
  one.join('bob');
  expect(await one.bring()).toBeUndefined();
  expect(one.asked).toEqual(['bob', 'bob', 'bob']);
});

it('prefers another machine, and goes on with the next when one refuses', async () => {
  const one = newCase({ twin: ['kept'], bob: ['refused'] });
  one.join('me', { keeps: { freeBytes: 2 ** 40, host: 'mine' } });
  one.join('twin', { keeps: { freeBytes: 2 ** 40, host: 'mine' } });
  one.join('bob');
  expect(await one.bring()).toBeUndefined();
  expect(one.asked).toEqual(['bob', 'twin']);
});

it('says why nobody has them, and waits for none that refused', async () => {
  const one = newCase({ bob: ['refused'], eve: ['silent'] });
  one.join('bob');
  one.join('eve');
  const short = await one.bring();
  expect(short).toContain('bob: bob is full');
  expect(short).toContain('eve: does not answer');
});

it('waits for nobody where there is no other peer, or none that keeps for others', async () => {
  const one = newCase({});
  one.join('me');
  expect(await one.bring()).toBe('no other peer is in the mesh');
  const { keeps: _, ...entry } = samplePeer();
  const other = newCase({});
  other.mesh.peers.announce({ ...entry, peer: peerId('bob') });
  expect(await other.bring()).toContain('no other peer in the mesh has room for it');
  expect(other.asked).toEqual([]);
});

it('gives a peer up that is at it and never gets done', async () => {
  const bob = { ...samplePeer(), peer: peerId('bob'), keeps: { freeBytes: 2 ** 40, host: 'bob' } };
  let asked = 0;
  const keep = async (): Promise<KeepAnswer> => {
    asked += 1;
    return { kind: 'working' };
  };
  const parts = { peer: me, peers: { list: async () => [bob] }, keepers: { keep }, sha256 };
  const time = new VirtualClock();
  const process = new DirectProcess('me', time);
  const copies = new PeerCopies({ ...parts, clock: process.clock });
  expect(await settled(time, copies.bring(order))).toBe('bob does not get it');
  expect(asked).toBeGreaterThan(100);
});

it('does not wait for a peer that went away while it was at it', async () => {
  const one = newCase({ bob: ['working'] });
  one.join('bob');
  // Nobody announces it any more.
  expect(await one.bring()).toBe('no other peer is in the mesh');
});

it('never rejects: a mesh that is away, or a daemon that stops, leaves one copy', async () => {
  const one = newCase({ bob: ['working'] });
  one.join('bob');
  const brought = one.copies.bring(order);
  one.copies.stop();
  expect(await settled(one.clock, brought)).toBe('its peer stopped before another one had it');
  const time = new VirtualClock();
  const { clock } = new DirectProcess('me', time);
  const away = async (): Promise<never> => {
    throw new PortError('the mesh is away', { retryable: true });
  };
  const keepers = { keep: async () => ({ kind: 'kept' as const }) };
  const cut = new PeerCopies({ peer: me, peers: { list: away }, keepers, clock, sha256 });
  const why = 'other peers could not be asked: the mesh is away';
  expect(await settled(time, cut.bring(order))).toBe(why);
});

it('waits for a directory that is silent, or not whole yet, as long as a run would', async () => {
  const time = new VirtualClock();
  const { clock } = new DirectProcess('me', time);
  const bob = { ...samplePeer(), peer: peerId('bob'), keeps: { freeBytes: 2 ** 40, host: 'bob' } };
  let listed = 0;
  const list = async () => {
    listed += 1;
    if (listed <= 2) throw new PortError('the mesh is away', { retryable: true });
    return listed <= 4 ? [] : [bob];
  };
  const isDirectoryWhole = () => listed > 4;
  const keepers = { keep: async () => ({ kind: 'kept' as const }) };
  const parts = { peer: me, keepers, clock, sha256 };
  const copies = new PeerCopies({ ...parts, peers: { list }, isDirectoryWhole });
  expect(await settled(time, copies.bring(order))).toBeUndefined();
  expect(listed).toBe(5);
  const never = { list: async () => [] };
  const alone = new PeerCopies({ ...parts, peers: never, isDirectoryWhole: () => false });
  expect(await settled(time, alone.bring(order))).toBe('no other peer is in the mesh');
  const broken = async (): Promise<never> => {
    throw new PortError('garbage', { retryable: false });
  };
  const refused = new PeerCopies({ ...parts, peers: { list: broken } });
  expect(await refused.bring(order)).toBe('other peers could not be asked: garbage');
});

it.each([
  ['is told to stop meanwhile', false],
  ['was told to stop before', true],
])('an attempt that %s does not wait for a peer that takes long', async (_, isBefore) => {
  const time = new VirtualClock();
  const { clock } = new DirectProcess('me', time);
  const bob = { ...samplePeer(), peer: peerId('bob'), keeps: { freeBytes: 2 ** 40, host: 'bob' } };
  const stop = new AbortController();
  if (isBefore) stop.abort();
  const keep = async (): Promise<KeepAnswer> => {
    stop.abort();
    return { kind: 'working' };
  };
  const parts = { peer: me, peers: { list: async () => [bob] }, sha256, clock };
  const slow = new PeerCopies({ ...parts, keepers: { keep } });
  const beganAtMs = clock.nowMs();
  const short = 'its attempt was told to stop before another peer had it';
  expect(await settled(time, slow.bring(order, stop.signal))).toBe(short);
  expect(clock.nowMs() - beganAtMs).toBeLessThan(5_000);
  // A few lines are there at once, and nobody loses them because of that.
  const kinds: KeepAnswer[] = [{ kind: 'working' }, { kind: 'kept' }];
  const soon = async (): Promise<KeepAnswer> => kinds.shift() ?? { kind: 'silent' };
  const quick = new PeerCopies({ ...parts, keepers: { keep: soon } });
  expect(await settled(time, quick.bring(order, stop.signal))).toBeUndefined();
});
