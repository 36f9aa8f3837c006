import { type Requirements, toRequirements } from '@podmesh/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { WakeUp } from '../wake-up.ts';
import { CapacityLedger, type Reservation } from './capacity-ledger.ts';

const CAPACITY = { cpus: 4, memoryBytes: 2 ** 32, diskBytes: 2 ** 33, gpus: 1 };
const RESOURCES = ['cpus', 'memoryBytes', 'diskBytes', 'gpus'] as const;

const anyNeeds = fc
  .record({
    cpus: fc.double({ min: 0.01, max: 6, noNaN: true }),
    memoryBytes: fc.integer({ min: 1, max: 2 ** 31 }),
    diskBytes: fc.integer({ min: 0, max: 2 ** 31 }),
    gpus: fc.constantFrom(0, 0, 0, 1),
  })
  .map(toRequirements);
const anySteps = fc.array(fc.tuple(anyNeeds, fc.nat(20), fc.boolean()), { maxLength: 60 });

describe('the capacity ledger', () => {
  it('never promises more than there is, and gets all of it back', () => {
    fc.assert(
      fc.property(anySteps, (steps) => {
        const ledger = new CapacityLedger(CAPACITY, new WakeUp());
        const held: { readonly needs: Requirements; readonly reservation: Reservation }[] = [];
        for (const [needs, pick, gives] of steps) {
          const room = ledger.room(needs);
          const reservation = ledger.reserve(needs);
          // What it says it has room for is what it takes.
          expect(reservation !== undefined).toBe(room > 0);
          if (reservation !== undefined) held.push({ needs, reservation });
          if (gives) held.splice(pick, 1).forEach((given) => void given.reservation.release());
          for (const kind of RESOURCES) {
            const taken = held.reduce((sum, one) => sum + one.needs[kind], 0);
            expect(taken).toBeLessThanOrEqual(CAPACITY[kind]);
            expect(ledger.free()[kind]).toBe(CAPACITY[kind] - taken);
          }
        }
        for (const { reservation } of held) reservation.release();
        expect(ledger.free()).toEqual(CAPACITY);
        expect(ledger.reservations).toBe(0);
      }),
      { numRuns: 200 },
    );
  });

  it('counts how many more of a kind fit', () => {
    const ledger = new CapacityLedger(CAPACITY, new WakeUp());
    const quarter = toRequirements({ cpus: 0.25 });
    expect(ledger.room(quarter)).toBe(16);
    ledger.reserve(toRequirements({ cpus: 3.5 }));
    expect(ledger.room(quarter)).toBe(2);
    expect(ledger.room(toRequirements({ cpus: 1 }))).toBe(0);
    expect(ledger.room(toRequirements({ cpus: 0.25, gpus: 2 }))).toBe(0);
  });

  it('releases once, however often it is told, and rings then', async () => {
    const changed = new WakeUp();
    const ledger = new CapacityLedger(CAPACITY, changed);
    const needs = toRequirements({ cpus: 2 });
    const [first, second] = [ledger.reserve(needs), ledger.reserve(needs)];
    expect(ledger.reserve(needs)).toBeUndefined();
    first?.release();
    first?.release();
    await changed.next(new AbortController().signal);
    expect(ledger.free().cpus).toBe(2);
    second?.release();
    expect(ledger.free()).toEqual(CAPACITY);
  });

  it('has the cores of a task that waits for others, and not its memory', async () => {
    const changed = new WakeUp();
    const ledger = new CapacityLedger({ ...CAPACITY, cpus: 1 }, changed);
    const needs = toRequirements({ cpus: 1, memoryBytes: 2 ** 30 });
    const parent = ledger.reserve(needs);
    expect(ledger.room(needs)).toBe(0);
    parent?.lendCores();
    parent?.lendCores();
    await changed.next(new AbortController().signal);
    expect(ledger.free()).toMatchObject({ cpus: 1, memoryBytes: 2 ** 32 - 2 ** 30 });
    const child = ledger.reserve(needs);
    // At once, though the child is at work.
    parent?.takeCoresBack();
    expect(ledger.free().cpus).toBe(0);
    expect(ledger.reserve(needs)).toBeUndefined();
    child?.release();
    expect(ledger.free().cpus).toBe(0);
    parent?.lendCores();
    parent?.release();
    parent?.lendCores();
    expect(ledger.free()).toEqual({ ...CAPACITY, cpus: 1 });
  });
});
