import { describe, expect, it } from 'vitest';
import { peerId, sessionId } from '../words/ids.ts';
import { toRequirements } from './lane.ts';
import { isLeftToOthers } from './leave-to-others.ts';
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

describe('isLeftToOthers', () => {
  it('leaves a task to a peer that has not failed it and could run it', () => {
    expect(isLeftToOthers(offer, peerId('bad'), [peer('bad'), peer('good')])).toBe(true);
    expect(isLeftToOthers(offer, peerId('good'), [peer('bad'), peer('good')])).toBe(false);
  });

  it('keeps it when nobody else is there, claims, or is large enough', () => {
    const alone = [peer('bad')];
    const paused = [peer('bad'), peer('good', { paused: 'no disk' })];
    const small = [peer('bad'), peer('good', { capacity: { ...capacity, cpus: 1 } })];
    for (const peers of [alone, paused, small]) {
      expect(isLeftToOthers(offer, peerId('bad'), peers)).toBe(false);
    }
  });
});
