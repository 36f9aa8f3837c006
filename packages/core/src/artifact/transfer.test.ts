import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { artifactId, type PeerId, peerId } from '../words/ids.ts';
import { CHUNK_BYTES, SOURCE_CORRUPT_MS, TRANSFER_STALL_MS } from '../words/limits.ts';
import { planTransfer } from './transfer.ts';
import { applyTransfer } from './transfer-events.ts';
import { newTransfer } from './transfer-state.ts';
import { good, TransferWorld } from './transfer-world.test-kit.ts';

describe('a transfer', () => {
  it('of one source is asked for in order, each chunk once, without a question to others', () => {
    const world = new TransferWorld({ a: good }, { chunks: 20, hints: ['a'] });
    expect(world.run()).toBe('stored');
    expect(world.asked.map(({ index }) => index)).toEqual(Array.from({ length: 20 }, (_, i) => i));
    expect(world.steps.some(({ kind }) => kind === 'find-sources')).toBe(false);
  });

  it('goes on with the chunks that are here', () => {
    const world = new TransferWorld({ a: good }, { chunks: 6, here: [0, 1, 4] });
    expect(world.run()).toBe('stored');
    expect(world.asked.map(({ index }) => index)).toEqual([2, 3, 5]);
  });

  it('of nothing at all needs no chunk', () => {
    expect(new TransferWorld({ a: good }, { chunks: 0 }).run()).toBe('stored');
  });

  it('uses several sources', () => {
    const world = new TransferWorld({ a: good, b: good, c: good }, { chunks: 30 });
    expect(world.run()).toBe('stored');
    expect(new Set(world.asked.map(({ peer }) => peer)).size).toBe(3);
    expect(world.asked).toHaveLength(30);
  });

  it('ends at once when nobody has it, and soon when whoever had it is gone', () => {
    const nobody = new TransferWorld({}, { chunks: 3 });
    expect(nobody.run()).toBe('no-source');
    expect(nobody.nowMs).toBeLessThan(10);
    const gone = new TransferWorld(
      { a: { ...good, diesAtMs: 100 } },
      { chunks: 200, hints: ['a'] },
    );
    expect(gone.run()).toBe('no-source');
    expect(gone.nowMs).toBeLessThan(TRANSFER_STALL_MS);
  });

  it('goes on with others when a source dies', () => {
    const world = new TransferWorld({ a: { ...good, diesAtMs: 35 }, b: good }, { chunks: 50 });
    expect(world.run()).toBe('stored');
  });

  it('blames only the source that gave a wrong chunk, and asks it no more', () => {
    const world = new TransferWorld(
      { a: good, bad: { ...good, corrupt: 100 }, c: good },
      { chunks: 40 },
    );
    expect(world.run()).toBe('stored');
    const { sources } = world.state;
    expect(sources.get(peerId('bad'))?.standing).toBe('blamed');
    expect(sources.get(peerId('bad'))?.restUntilMs).toBeGreaterThan(SOURCE_CORRUPT_MS);
    expect(sources.get(peerId('a'))?.standing).toBe('there');
    expect(sources.get(peerId('c'))?.standing).toBe('there');
    expect(world.asked.filter(({ peer }) => peer === 'bad').length).toBeLessThanOrEqual(4);
  });

  it('blames those whose list was a lie, and takes the list of others', () => {
    const liar = { ...good, listSeed: 2 };
    const world = new TransferWorld({ liar, second: liar, honest: good }, { chunks: 10 });
    expect(world.run()).toBe('stored');
    const blamed = [...world.state.sources.values()].filter(
      ({ standing }) => standing === 'blamed',
    );
    expect(blamed.map(({ peer }) => peer).sort()).toEqual(['liar', 'second']);
    const alone = new TransferWorld({ liar }, { chunks: 10 });
    expect(alone.run()).toBe('corrupt');
  });

  it('asks a second source for what the first takes far too long for', () => {
    const slow = { ...good, tookMs: 50_000 };
    const world = new TransferWorld({ slow, b: good }, { chunks: 8 });
    // The list is waited for only shortly; then the slow one is asked for nothing.
    expect(world.run()).toBe('stored');
    const late = new TransferWorld({ a: good, b: good }, { chunks: 4, hints: ['a', 'b'] });
    expect(late.run()).toBe('stored');
    expect(late.nowMs).toBeLessThan(TRANSFER_STALL_MS);
  });

  it('counts a chunk once that two sources give while the disk is busy with the first', () => {
    const [a, b] = ['a', 'b'].map(peerId) as [PeerId, PeerId];
    const artifact = artifactId(`sha256:${'a'.repeat(64)}`);
    const digests = ['1', '2', '3'].map((digit) => digit.repeat(64));
    const list = { bytes: digests.length * CHUNK_BYTES, digests };
    const state = newTransfer({ artifact, self: peerId('self'), hints: [a, b] }, 0);
    const asked: { source: PeerId; index: number }[] = [];
    const plan = (nowMs: number): void => {
      for (const step of planTransfer(state, nowMs))
        if (step.kind === 'ask-chunk') asked.push(step);
    };
    plan(0);
    for (const source of [a, b]) applyTransfer(state, { kind: 'list-known', source, list }, 1);
    plan(1);
    applyTransfer(state, { kind: 'opened', here: new Set() }, 2);
    plan(2);
    // Two are done, the third takes too long and is asked of the other, too.
    const [slow] = asked.splice(0, 1);
    expect(asked).toHaveLength(2);
    for (const { source, index } of asked.splice(0)) {
      applyTransfer(state, { kind: 'chunk-received', source, index }, 3);
      applyTransfer(state, { kind: 'chunk-here', source, index }, 3);
    }
    plan(10_000);
    const [again] = asked.splice(0);
    expect(again?.index).toBe(slow?.index);
    if (slow === undefined || again === undefined) return;
    const { index } = slow;
    applyTransfer(state, { kind: 'chunk-received', source: slow.source, index }, 10_001);
    applyTransfer(state, { kind: 'chunk-cancelled', source: again.source, index }, 10_002);
    plan(10_002);
    expect(asked).toEqual([]);
    applyTransfer(state, { kind: 'chunk-here', source: slow.source, index }, 10_003);
    plan(10_003);
    expect(state.phase.kind).toBe('committing');
  });

  it('is given up as stalled when no chunk comes', () => {
    const world = new TransferWorld({ a: { ...good, fails: 100 } }, { chunks: 8 });
    expect(world.run()).toBe('stalled');
    expect(world.asked.length).toBeLessThan(20);
  });

  it('begins elsewhere when others fetch it, too', () => {
    const world = new TransferWorld({ a: good, p: { ...good, whole: false } }, { chunks: 64 });
    expect(world.run()).toBe('stored');
    expect(world.asked.find(({ peer }) => peer === 'a')?.index).not.toBe(0);
  });

  it('always ends, within its slots and with bounded work, whatever sources do', () => {
    const percent = fc.constantFrom(0, 0, 0, 5, 30, 100);
    const manner = fc.record({
      listSeed: fc.constantFrom(1, 1, 1, 2, 3),
      tookMs: fc.constantFrom(1, 10, 100, 9_000),
      corrupt: percent,
      fails: percent,
      busy: percent,
      whole: fc.constantFrom(true, true, false),
      diesAtMs: fc.constantFrom(Number.POSITIVE_INFINITY, 0, 50, 3_000),
    });
    const names = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'), manner);
    fc.assert(
      fc.property(names, fc.nat(40), fc.boolean(), (manners, chunks, hinted) => {
        const world = new TransferWorld(manners, {
          chunks,
          ...(hinted ? { hints: Object.keys(manners) } : {}),
        });
        const ending = world.run();
        const received = world.asked.length;
        // Four lists at most, a second ask for each chunk, and refusals, which back off.
        expect(received).toBeLessThanOrEqual(4 * 2 * chunks + 6 * 700);
        const sound = Object.values(manners).filter(
          (how) =>
            how.listSeed === 1 &&
            how.corrupt + how.fails + how.busy === 0 &&
            how.diesAtMs === Number.POSITIVE_INFINITY &&
            how.tookMs < 1_000,
        );
        const liars = Object.values(manners).some(({ listSeed }) => listSeed !== 1);
        if (sound.length > 0 && !liars) expect(ending).toBe('stored');
      }),
      { numRuns: 300 },
    );
  });
});
