import { describe, expect, it } from 'vitest';
import type { Requirements } from '../graph/graph.ts';
import { type PeerId, peerId, sessionId } from '../words/ids.ts';
import { WAKE_CALLS_MAX, WAKE_PATIENCE_MS } from '../words/limits.ts';
import { chooseWake, type WakeLook } from './choose-wake.ts';
import { toRequirements } from './lane.ts';
import type { PeerEntry } from './peer-entry.ts';
import type { NotedSleeper, SleepingPeer } from './sleeping-peers.ts';

const HOME = '192.168.1.0/24';
const capacity = { cpus: 4, memoryBytes: 2 ** 33, diskBytes: 2 ** 40, gpus: 0 };
const need = toRequirements({ cpus: 2 });
const gpu = toRequirements({ gpus: 1 });

function awake(name: string, changes: Partial<PeerEntry> = {}): PeerEntry {
  return {
    peer: peerId(name),
    session: sessionId(name),
    version: '1',
    machine: { arch: 'x86_64' } as PeerEntry['machine'],
    hardware: { cpuFlags: [], gpus: [], battery: false },
    labels: [],
    capacity,
    free: { ...capacity, cpus: 0 },
    claims: [],
    driving: 0,
    images: {},
    limits: { memory: 'none', cpus: 'none', pids: 'none', disk: 'none' },
    runtimes: ['podman'],
    networks: [HOME],
    ...changes,
  };
}

function asleep(name: string, changes: Partial<SleepingPeer> = {}): NotedSleeper {
  const offering = { capacity, arch: 'amd64', labels: [], runtimes: ['podman'] as const };
  const links = [{ mac: '00:11:22:33:44:55', network: HOME }];
  const [hostname, since] = [name, '2026-11-22T01:00:00Z'];
  const sleeper = { peer: peerId(name), hostname, since, offering, links, quiet: [] };
  return { sleeper: { ...sleeper, timeZone: 'UTC', ...changes }, revision: 1 };
}

const called = (count: number, by = 'other') => ({ calls: { count, by: peerId(by) } });

function choose(
  sleepers: readonly NotedSleeper[],
  look: Partial<WakeLook> = {},
  wanted: readonly Requirements[] = [need],
): PeerId | undefined {
  const found = chooseWake({
    self: peerId('self'),
    networks: [HOME],
    peers: [awake('self', { wanted })],
    sleepers,
    unchangedMs: () => Number.POSITIVE_INFINITY,
    isQuiet: () => false,
    ...look,
  });
  return found?.sleeper.peer;
}

describe('whom a peer wakes', () => {
  it('is never who looks: a machine that is about to sleep would call itself', () => {
    const peers = [awake('driver', { wanted: [need] })];
    expect(choose([asleep('self')], { peers })).toBeUndefined();
    expect(choose([asleep('self')], { peers, self: peerId('other') })).toBe('self');
  });

  it('is who could do what waits, and is in one of its networks', () => {
    expect(choose([asleep('attic')])).toBe('attic');
    expect(choose([asleep('attic')], {}, [])).toBeUndefined();
    expect(choose([asleep('attic')], {}, [gpu])).toBeUndefined();
    expect(choose([asleep('attic')], {}, [gpu, need])).toBe('attic');
    expect(choose([asleep('attic')], { networks: ['10.0.0.0/8'] })).toBeUndefined();
  });

  it('is nobody for what an awake peer has room for, unless that claims nothing', () => {
    const self = awake('self', { wanted: [need] });
    const idle = awake('idle', { free: capacity });
    const with_ = (other: PeerEntry) => choose([asleep('attic')], { peers: [self, other] });
    expect(with_(idle)).toBeUndefined();
    expect(with_({ ...idle, paused: 'on battery' })).toBe('attic');
    const drain = { by: 'ann', state: 'draining', unkept: 0 } as const;
    expect(with_({ ...idle, drain })).toBe('attic');
    expect(with_({ ...idle, rations: [] })).toBe('attic');
    expect(with_({ ...idle, capacity: { ...capacity, cpus: 1 } })).toBe('attic');
  });

  it('is nobody who forbids it, at a quiet time, or who is awake', () => {
    expect(choose([asleep('attic', { forbids: 'wake: false' })])).toBeUndefined();
    expect(choose([asleep('attic')], { isQuiet: () => true })).toBeUndefined();
    const peers = [awake('self', { wanted: [need] }), awake('attic')];
    expect(choose([asleep('attic')], { peers })).toBeUndefined();
  });

  it('is one after the other: another only when the first does not come', () => {
    const sleepers = [asleep('attic', called(1)), asleep('barn')];
    const after = (ms: number) => ({ unchangedMs: () => ms });
    expect(choose(sleepers, after(WAKE_PATIENCE_MS - 1))).toBeUndefined();
    expect(choose(sleepers, after(WAKE_PATIENCE_MS))).toBe('barn');
    expect(choose([asleep('barn'), asleep('attic')])).toBe('attic');
  });

  it('is called again after twice as long each time, and not for ever', () => {
    const at = (count: number, ms: number, by?: string) =>
      choose([asleep('attic', called(count, by))], { unchangedMs: () => ms });
    for (let count = 1; count < WAKE_CALLS_MAX; count += 1) {
      const restMs = WAKE_PATIENCE_MS * 2 ** (count - 1);
      expect([at(count, restMs - 1), at(count, restMs)]).toEqual([undefined, 'attic']);
      // Nobody else is there to do it.
      expect(at(count, restMs, 'self')).toBe('attic');
    }
    expect(at(WAKE_CALLS_MAX, Number.POSITIVE_INFINITY)).toBeUndefined();
    const peers = [awake('self', { wanted: [need] }), awake('other')];
    const mine = (unchangedMs: number) =>
      choose([asleep('attic', called(1, 'self'))], { peers, unchangedMs: () => unchangedMs });
    expect(mine(WAKE_PATIENCE_MS)).toBeUndefined();
    expect(mine(2 * WAKE_PATIENCE_MS)).toBe('attic');
  });
});
