import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { artifactId } from '../words/ids.ts';
import {
  type DiskLimits,
  defaultDiskLimits,
  type EvictionRank,
  planEviction,
  type StoredEntry,
} from './plan-eviction.ts';

const RANKS: readonly EvictionRank[] = ['partial', 'done', 'copy', 'kept'];
const NO_LIMITS: DiskLimits = { floorBytes: 0, ceilingBytes: Number.MAX_VALUE, minFreeBytes: 0 };

const idOf = (index: number) => artifactId(`sha256:${index.toString(16).padStart(64, '0')}`);

function entry(index: number, changes: Partial<StoredEntry> = {}): StoredEntry {
  return {
    artifact: idOf(index),
    bytes: 10,
    usedAtMs: index,
    rank: 'copy',
    pins: [],
    ...changes,
  };
}

const anyEntries = fc
  .array(
    fc.record({
      bytes: fc.nat({ max: 100 }),
      usedAtMs: fc.nat({ max: 20 }),
      rank: fc.constantFrom(...RANKS),
      pins: fc.constantFrom([], [], [], [{ kind: 'person' as const }]),
    }),
    { maxLength: 30 },
  )
  .map((listed) => listed.map((changes, index) => entry(index, changes)));

interface Case {
  readonly entries: readonly StoredEntry[];
  readonly limits: DiskLimits;
  readonly freeBytes: number;
  readonly neededBytes: number;
}

const anyCase: fc.Arbitrary<Case> = fc.record({
  entries: anyEntries,
  limits: fc.record({
    floorBytes: fc.nat({ max: 500 }),
    ceilingBytes: fc.nat({ max: 3_000 }),
    minFreeBytes: fc.nat({ max: 500 }),
  }),
  freeBytes: fc.nat({ max: 1_500 }),
  neededBytes: fc.nat({ max: 1_000 }),
});

const sum = (entries: readonly StoredEntry[]): number =>
  entries.reduce((total, { bytes }) => total + bytes, 0);

/** Everything that the properties speak of. */
function planOf({ entries, limits, freeBytes, neededBytes }: Case) {
  const storeBytes = sum(entries);
  const plan = planEviction(entries, limits, { storeBytes, freeBytes, neededBytes });
  const byId = new Map(entries.map((listed) => [listed.artifact, listed]));
  const evicted = plan.evict.flatMap((id) => byId.get(id) ?? []);
  const left = entries.filter(({ artifact }) => !plan.evict.includes(artifact));
  const loose = left.filter(({ pins }) => pins.length === 0);
  return { plan, evicted, loose, storeBytes, leftBytes: storeBytes - sum(evicted) };
}

describe('an eviction plan', () => {
  it('never takes what is pinned, and nothing twice', () => {
    fc.assert(
      fc.property(anyCase, (given) => {
        const { plan, evicted } = planOf(given);
        expect(evicted.every(({ pins }) => pins.length === 0)).toBe(true);
        expect(new Set(plan.evict).size).toBe(plan.evict.length);
        expect(evicted).toHaveLength(plan.evict.length);
      }),
    );
  });

  it('never takes the store below its floor', () => {
    fc.assert(
      fc.property(anyCase, (given) => {
        const { evicted, leftBytes } = planOf(given);
        if (evicted.length > 0) expect(leftBytes).toBeGreaterThanOrEqual(given.limits.floorBytes);
      }),
    );
  });

  it('takes the least worth first, and among equals the least recently used', () => {
    fc.assert(
      fc.property(anyCase, (given) => {
        const { evicted } = planOf(given);
        const places = evicted.map(({ rank, usedAtMs }) => RANKS.indexOf(rank) * 100 + usedAtMs);
        expect(places).toEqual(places.toSorted((a, b) => a - b));
      }),
    );
  });

  it('reaches its aim, or says what is in the way', () => {
    fc.assert(
      fc.property(anyCase, (given) => {
        const { plan, loose, storeBytes, leftBytes } = planOf(given);
        const { limits, freeBytes, neededBytes } = given;
        const free = freeBytes + storeBytes - leftBytes;
        if (plan.refuse === undefined) {
          expect(free).toBeGreaterThanOrEqual(limits.minFreeBytes + neededBytes);
          return;
        }
        expect(plan.refuse.shortBytes).toBeGreaterThan(0);
        // Whatever could still go would break the floor; otherwise it was not tried.
        const all = planEviction(given.entries, limits, {
          storeBytes,
          freeBytes: -Number.MAX_SAFE_INTEGER,
          neededBytes: 0,
        });
        const kept = storeBytes - sum(given.entries.filter((e) => all.evict.includes(e.artifact)));
        expect(freeBytes + storeBytes - kept).toBeLessThan(limits.minFreeBytes + neededBytes);
        if (plan.refuse.because === 'pins') {
          expect(given.entries.some(({ pins }) => pins.length > 0)).toBe(true);
        } else if (loose.length > 0 && neededBytes === 0) {
          const smallest = Math.min(...loose.map(({ bytes }) => bytes));
          expect(leftBytes - smallest).toBeLessThan(limits.floorBytes);
        }
      }),
    );
  });

  it('takes nothing that was not needed: without its last one it falls short', () => {
    fc.assert(
      fc.property(anyCase, (given) => {
        const { plan, evicted, storeBytes } = planOf(given);
        const last = evicted.at(-1);
        if (plan.refuse !== undefined || last === undefined) return;
        const freed = sum(evicted) - last.bytes;
        const isShort =
          given.freeBytes + freed < given.limits.minFreeBytes + given.neededBytes ||
          storeBytes - freed + given.neededBytes > given.limits.ceilingBytes;
        expect(isShort).toBe(true);
      }),
    );
  });

  it('is empty while there is room', () => {
    const view = { storeBytes: 20, freeBytes: 100, neededBytes: 50 };
    expect(planEviction([entry(1), entry(2)], NO_LIMITS, view)).toEqual({ evict: [] });
  });

  it('gives up copies for the ceiling, and what is kept for free space only', () => {
    const entries = [entry(1, { rank: 'kept' }), entry(2), entry(3, { rank: 'kept' })];
    const view = { storeBytes: 30, freeBytes: 0, neededBytes: 0 };
    const small = { ...NO_LIMITS, ceilingBytes: 5 };
    expect(planEviction(entries, small, view)).toEqual({ evict: [idOf(2)] });
    const full = { ...NO_LIMITS, minFreeBytes: 15 };
    expect(planEviction(entries, full, view)).toEqual({ evict: [idOf(2), idOf(1)] });
  });

  it('gives nothing up in vain', () => {
    const entries = [entry(1), entry(2, { pins: [{ kind: 'transfer' }] })];
    const view = { storeBytes: 20, freeBytes: 0, neededBytes: 100 };
    expect(planEviction(entries, NO_LIMITS, view)).toEqual({
      evict: [],
      refuse: { shortBytes: 90, because: 'pins' },
    });
    const floored = planEviction(entries, { ...NO_LIMITS, floorBytes: 15 }, view);
    expect(floored.refuse).toEqual({ shortBytes: 100, because: 'floor' });
  });

  it('has limits that suit small disks and large ones', () => {
    expect(defaultDiskLimits(100)).toEqual({ floorBytes: 10, ceilingBytes: 75, minFreeBytes: 20 });
    expect(defaultDiskLimits(2 ** 40)).toMatchObject({
      floorBytes: 10 * 2 ** 30,
      minFreeBytes: 20 * 2 ** 30,
    });
  });
});
