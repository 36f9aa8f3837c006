import { describe, expect, it } from 'vitest';
import { type PeerId, peerId } from '../words/ids.ts';
import type { AnchorRecord } from './anchor-record.ts';
import {
  type AnchorsSeen,
  AUTO_ANCHORS_PATIENCE,
  type AutoAnchorsMemory,
  autoAnchors,
} from './auto-anchors.ts';
import type { AnchorCandidate } from './propose-anchors.ts';

const MINUTE = 60_000;
const { steadyMs, silentMs, gapMs } = AUTO_ANCHORS_PATIENCE;

const record = (...peers: string[]): AnchorRecord => ({
  generation: peers.length,
  ...(peers.length > 1 ? { cluster: 'c' } : {}),
  anchors: peers.map((name) => ({ peer: peerId(name), server: name, client: '10.0.0.1:4222' })),
});

const laptop = { battery: true };

/** Looks every minute, at a clock that a test moves. */
class Looks {
  nowMs = 0;
  memory: AutoAnchorsMemory | undefined;
  record = record('a');
  there = new Map<string, Partial<AnchorCandidate>>();
  silent: readonly string[] = [];

  constructor(...names: readonly string[]) {
    for (const name of names) this.there.set(name, {});
  }

  get seen(): AnchorsSeen {
    const now = this.record.anchors.map(({ peer }) => String(peer));
    return {
      record: this.record,
      self: peerId('a'),
      silent: this.silent.map(peerId),
      candidates: [...this.there].map(([name, more]) => ({
        peer: peerId(name),
        host: `host of ${name}`,
        battery: false,
        serverVersion: '2.15.1',
        uptimeSeconds: 100 * 3_600 - name.charCodeAt(0),
        freeDiskBytes: 2 ** 40,
        isAnchor: now.includes(name),
        ...more,
      })),
    };
  }

  look(): readonly PeerId[] | undefined {
    const { memory, wanted } = autoAnchors(this.memory, this.seen, this.nowMs);
    this.memory = memory;
    return wanted;
  }

  /** What is wanted first within the time, and after how long. */
  during(ms: number): { readonly afterMs: number; readonly wanted: readonly PeerId[] } | undefined {
    const end = this.nowMs + ms;
    for (const began = this.nowMs; this.nowMs <= end; this.nowMs += MINUTE) {
      const wanted = this.look();
      if (wanted !== undefined) return { afterMs: this.nowMs - began, wanted };
    }
    return undefined;
  }
}

describe('anchors that are taken by themselves', () => {
  it('become three when three machines have been there for a while, not before', () => {
    const looks = new Looks('a', 'b', 'c');
    expect(looks.during(3 * steadyMs)).toEqual({ afterMs: steadyMs, wanted: ['a', 'b', 'c'] });
    expect(new Looks('a', 'b').during(100 * steadyMs)).toBeUndefined();
  });

  it('wait for a machine that comes and goes as long as for one that was never there', () => {
    const looks = new Looks('a', 'b', 'c');
    for (let times = 0; times < 20; times++) {
      expect(looks.during(steadyMs - 2 * MINUTE)).toBeUndefined();
      looks.there.delete('c');
      expect(looks.look()).toBeUndefined();
      looks.there.set('c', {});
    }
  });

  it('know nothing of a time in which nobody looked', () => {
    const looks = new Looks('a', 'b', 'c');
    for (let times = 0; times < 20; times++) {
      expect(looks.look()).toBeUndefined();
      looks.nowMs += gapMs + steadyMs;
    }
  });

  it.each([
    ['a laptop', { c: laptop }],
    ['a second peer of one machine', { c: { host: 'host of b' } }],
    ['a machine that was switched on just now', { c: { uptimeSeconds: 60 } }],
    ['the keys on a laptop', { a: laptop }],
  ])('are never made of %s', (_, flaws) => {
    const looks = new Looks('a', 'b', 'c');
    for (const [name, flaw] of Object.entries(flaws)) looks.there.set(name, flaw);
    expect(looks.during(100 * steadyMs)).toBeUndefined();
  });

  it('get another in the place of one that is silent for long, and no laptop', () => {
    const looks = new Looks('a', 'b', 'd', 'l');
    looks.there.set('l', { ...laptop, uptimeSeconds: 1e9 });
    looks.record = record('a', 'b', 'c');
    expect(looks.during(3 * steadyMs)).toBeUndefined();
    looks.silent = ['c'];
    expect(looks.during(3 * silentMs)).toEqual({ afterMs: silentMs, wanted: ['a', 'b', 'd'] });
  });

  it('stay while one comes back in time, again and again', () => {
    const looks = new Looks('a', 'b', 'c', 'd');
    looks.record = record('a', 'b', 'c');
    for (let times = 0; times < 20; times++) {
      looks.silent = ['c'];
      expect(looks.during(silentMs - 2 * MINUTE)).toBeUndefined();
      looks.silent = [];
      expect(looks.look()).toBeUndefined();
    }
  });

  it('stay where nobody is there to take the place, where the keys are, and while one is alone', () => {
    const looks = new Looks('a', 'b', 'l');
    looks.there.set('l', laptop);
    looks.record = record('a', 'b', 'c');
    looks.silent = ['c'];
    expect(looks.during(5 * silentMs)).toBeUndefined();
    const own = new Looks('a', 'b', 'c', 'd');
    own.record = record('a', 'b', 'c');
    own.silent = ['a'];
    expect(own.during(5 * silentMs)).toBeUndefined();
    const alone = new Looks('a', 'b', 'c');
    alone.silent = ['a'];
    expect(alone.during(5 * silentMs)).toBeUndefined();
  });

  it('begin to count anew with each change, whether it succeeds or not', () => {
    const looks = new Looks('a', 'b', 'c', 'd');
    looks.record = record('a', 'b', 'c');
    looks.silent = ['c'];
    expect(looks.during(2 * silentMs)?.afterMs).toBe(silentMs);
    expect(looks.during(2 * silentMs)?.afterMs).toBe(silentMs);
    looks.record = record('a', 'b', 'd');
    looks.silent = [];
    expect(looks.during(5 * silentMs)).toBeUndefined();
    // The one that was gone is back: nobody needs it.
    looks.there.set('c', {});
    expect(looks.during(5 * silentMs)).toBeUndefined();
  });

  it('become five of many, and never fewer again', () => {
    const looks = new Looks('a', 'b', 'c', 'd', 'e', 'f', 'g');
    looks.record = record('a', 'b', 'c');
    expect(looks.during(2 * steadyMs)?.wanted).toEqual(['a', 'b', 'c', 'd', 'e']);
    looks.record = record('a', 'b', 'c', 'd', 'e');
    for (const name of ['c', 'd', 'e', 'f', 'g']) looks.there.delete(name);
    expect(looks.during(5 * steadyMs)).toBeUndefined();
  });
});
