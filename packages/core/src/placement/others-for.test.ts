import { describe, expect, it } from 'vitest';
import { peerId, sessionId } from '../words/ids.ts';
import { toRequirements } from './lane.ts';
import { othersFor } from './others-for.ts';
import type { PeerEntry } from './peer-entry.ts';

const capacity = { cpus: 2, memoryBytes: 2 ** 32, diskBytes: 2 ** 32, gpus: 0 };
const peer = (name: string, more: Partial<PeerEntry> = {}): PeerEntry => ({
  peer: peerId(name),
  session: sessionId(`${name}-1`),
  version: '0',
  machine: {
    hostname: name,
    kernel: '',
    arch: 'amd64',
    os: '',
    cpuModel: '',
    cores: 2,
    memoryBytes: 2 ** 32,
    podmanVersion: '',
  },
  hardware: { cpuFlags: [], gpus: [], battery: false },
  labels: [],
  capacity,
  free: capacity,
  claims: [],
  driving: 0,
  images: {},
  limits: { memory: 'kernel', cpus: 'kernel', pids: 'kernel', disk: 'watched' },
  runtimes: ['podman'],
  ...more,
});
const offer = { avoid: [peerId('bad')], requirements: toRequirements({ cpus: 2 }) };

describe('othersFor', () => {
  it('names a peer that has not failed the task and could begin it now', () => {
    expect(othersFor(offer, peerId('bad'), [peer('bad'), peer('good')])).toBe('free');
    expect(othersFor(offer, peerId('good'), [peer('bad'), peer('good')])).toBe('none');
  });

  it('knows nobody when no other is there, claims, or is large enough', () => {
    const alone = [peer('bad')];
    const paused = [peer('bad'), peer('good', { paused: 'no disk' })];
    const small = [peer('bad'), peer('good', { capacity: { ...capacity, cpus: 1 } })];
    for (const peers of [alone, paused, small]) {
      expect(othersFor(offer, peerId('bad'), peers)).toBe('none');
    }
  });

  it('tells of others that have no room now', () => {
    const busy = [peer('bad'), peer('good', { free: { ...capacity, cpus: 1 } })];
    expect(othersFor(offer, peerId('bad'), busy)).toBe('busy');
  });
});
