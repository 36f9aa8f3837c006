import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { artifactId, type PeerId, peerId } from '../words/ids.ts';
import {
  CHUNK_BYTES,
  SOURCE_CORRUPT_MS,
  STREAMS_PER_SOURCE_MAX,
  STREAMS_PER_TRANSFER_MAX,
  TRANSFER_STALL_MS,
} from '../words/limits.ts';
import type { ChunkList, Holding } from './artifact-exchange.ts';
import { planTransfer } from './transfer.ts';
import { applyTransfer } from './transfer-events.ts';
import {
  chunksInFlight,
  isChunkWanted,
  newTransfer,
  type TransferEnding,
  type TransferEvent,
  type TransferState,
  type TransferStep,
} from './transfer-state.ts';

const artifact = artifactId(`sha256:${'a'.repeat(64)}`);
const self = peerId('self');
const digest = (text: number): string => text.toString(16).padStart(64, '0');
const listOf = (chunks: number, seed = 1): ChunkList => ({
  bytes: chunks * CHUNK_BYTES,
  digests: Array.from({ length: chunks }, (_, index) => digest(index + seed * 1_000_000)),
});
const holding = (peer: PeerId, whole = true): Holding => ({ artifact, peer, bytes: 1, whole });

/** What a made-up source does; the true list has seed 1. */
interface Manner {
  readonly listSeed: number;
  readonly tookMs: number;
  /** Of a hundred chunks asked of it. */
  readonly corrupt: number;
  readonly fails: number;
  readonly busy: number;
  readonly whole: boolean;
  readonly diesAtMs: number;
}
const good: Manner = {
  listSeed: 1,
  tookMs: 10,
  corrupt: 0,
  fails: 0,
  busy: 0,
  whole: true,
  diesAtMs: Number.POSITIVE_INFINITY,
};

/** The edge in virtual time, with sources as they are told to be. */
class World {
  readonly state: TransferState;
  readonly asked: { readonly peer: PeerId; readonly index: number }[] = [];
  readonly steps: TransferStep[] = [];
  nowMs = 0;
  #events: { readonly atMs: number; readonly event: TransferEvent }[] = [];
  readonly #manners: ReadonlyMap<PeerId, Manner>;
  readonly #chunks: number;
  readonly #here: ReadonlySet<number>;
  #open = 1;
  #draw = 7;

  constructor(
    manners: Record<string, Manner>,
    options: { chunks: number; here?: readonly number[]; hints?: readonly string[] },
  ) {
    this.#manners = new Map(Object.entries(manners).map(([name, how]) => [peerId(name), how]));
    this.#chunks = options.chunks;
    this.#here = new Set(options.here ?? []);
    const hints = (options.hints ?? []).map(peerId);
    this.state = newTransfer({ artifact, self, hints }, 0);
  }

  run(turnsMax = 100_000): TransferEnding {
    for (let turn = 0; turn < turnsMax; turn += 1) {
      let untilMs = this.nowMs;
      for (const step of planTransfer(this.state, this.nowMs)) {
        this.steps.push(step);
        if (step.kind === 'wait') untilMs = step.untilMs;
        else this.#carryOut(step);
      }
      this.#checkBounds();
      if (this.state.phase.kind === 'ended') return this.state.phase.ending;
      this.#next(untilMs);
    }
    throw new Error('does not end');
  }

  #next(untilMs: number): void {
    this.#events.sort((a, b) => a.atMs - b.atMs);
    const next = this.#events[0];
    if (next === undefined || next.atMs > untilMs) {
      expect(untilMs).toBeGreaterThan(this.nowMs);
      expect(untilMs).toBeLessThan(Number.POSITIVE_INFINITY);
      this.nowMs = untilMs;
      return;
    }
    this.#events.shift();
    this.nowMs = Math.max(this.nowMs, next.atMs);
    this.#apply(next.event);
  }

  #apply(event: TransferEvent): void {
    if (event.kind !== 'chunk-received') {
      applyTransfer(this.state, event, this.nowMs);
      return;
    }
    const { source, index } = event;
    if (!isChunkWanted(this.state, index)) {
      applyTransfer(this.state, { kind: 'chunk-cancelled', source, index }, this.nowMs);
      return;
    }
    applyTransfer(this.state, event, this.nowMs);
    const wrong = this.#chance() < (this.#manners.get(source)?.corrupt ?? 0);
    this.#later(1, { kind: wrong ? 'chunk-corrupt' : 'chunk-here', source, index });
  }

  #later(ms: number, event: TransferEvent): void {
    this.#events.push({ atMs: this.nowMs + ms, event });
  }

  #chance(): number {
    this.#draw = (Math.imul(this.#draw, 1_103_515_245) + 12_345) >>> 0;
    return (this.#draw >>> 8) % 100;
  }

  #carryOut(step: TransferStep): void {
    switch (step.kind) {
      case 'find-sources': {
        const there = [...this.#manners].filter(([, how]) => how.diesAtMs > this.nowMs);
        const holdings = there.map(([peer, how]) => holding(peer, how.whole));
        this.#later(5, { kind: 'sources-found', holdings });
        break;
      }
      case 'ask-list': {
        const { source } = step;
        const how = this.#manners.get(source);
        if (how === undefined || how.diesAtMs <= this.nowMs) {
          const refusal = { kind: 'unreachable', message: 'dead' } as const;
          this.#later(1, { kind: 'list-refused', source, refusal });
        } else {
          const list = listOf(this.#chunks, how.listSeed);
          this.#later(how.tookMs, { kind: 'list-known', source, list });
        }
        break;
      }
      case 'open':
        // Without chunks, all lists are equal.
        this.#open = Number(BigInt(`0x${step.list.digests[0] ?? digest(1_000_000)}`) / 1_000_000n);
        this.#later(1, { kind: 'opened', here: this.#here });
        break;
      case 'ask-chunk':
        this.asked.push({ peer: step.source, index: step.index });
        this.#answer(step.source, step.index);
        break;
      case 'cancel-ask': {
        const { source, index } = step;
        const at = this.#events.findIndex(
          ({ event }) => 'index' in event && event.source === source && event.index === index,
        );
        this.#events.splice(at, 1);
        this.#later(0, { kind: 'chunk-cancelled', source, index });
        break;
      }
      case 'commit': {
        const outcome = this.#open === 1 ? 'stored' : 'corrupt';
        this.#later(1, { kind: 'whole-checked', outcome });
        break;
      }
      default:
    }
  }

  #answer(source: PeerId, index: number): void {
    const how = this.#manners.get(source) ?? good;
    const draw = this.#chance();
    const dies = how.diesAtMs <= this.nowMs + how.tookMs;
    if (dies || draw < how.fails) {
      const refusal = { kind: 'short', message: 'ended early' } as const;
      this.#later(how.tookMs, { kind: 'chunk-refused', source, index, refusal });
    } else if (draw < how.fails + how.busy) {
      const refusal = { kind: 'busy', afterMs: 100 } as const;
      this.#later(1, { kind: 'chunk-refused', source, index, refusal });
    } else {
      this.#later(how.tookMs, { kind: 'chunk-received', source, index });
    }
  }

  #checkBounds(): void {
    expect(chunksInFlight(this.state)).toBeLessThanOrEqual(STREAMS_PER_TRANSFER_MAX);
    for (const { asked } of this.state.sources.values()) {
      expect(asked.size).toBeLessThanOrEqual(STREAMS_PER_SOURCE_MAX);
    }
  }
}

describe('a transfer', () => {
  it('of one source is asked for in order, each chunk once, without a question to others', () => {
    const world = new World({ a: good }, { chunks: 20, hints: ['a'] });
    expect(world.run()).toBe('stored');
    expect(world.asked.map(({ index }) => index)).toEqual(Array.from({ length: 20 }, (_, i) => i));
    expect(world.steps.some(({ kind }) => kind === 'find-sources')).toBe(false);
  });

  it('goes on with the chunks that are here', () => {
    const world = new World({ a: good }, { chunks: 6, here: [0, 1, 4] });
    expect(world.run()).toBe('stored');
    expect(world.asked.map(({ index }) => index)).toEqual([2, 3, 5]);
  });

  it('of nothing at all needs no chunk', () => {
    expect(new World({ a: good }, { chunks: 0 }).run()).toBe('stored');
  });

  it('uses several sources', () => {
    const world = new World({ a: good, b: good, c: good }, { chunks: 30 });
    expect(world.run()).toBe('stored');
    expect(new Set(world.asked.map(({ peer }) => peer)).size).toBe(3);
    expect(world.asked).toHaveLength(30);
  });

  it('ends at once when nobody has it, and soon when whoever had it is gone', () => {
    const nobody = new World({}, { chunks: 3 });
    expect(nobody.run()).toBe('no-source');
    expect(nobody.nowMs).toBeLessThan(10);
    const gone = new World({ a: { ...good, diesAtMs: 100 } }, { chunks: 200, hints: ['a'] });
    expect(gone.run()).toBe('no-source');
    expect(gone.nowMs).toBeLessThan(TRANSFER_STALL_MS);
  });

  it('goes on with others when a source dies', () => {
    const world = new World({ a: { ...good, diesAtMs: 35 }, b: good }, { chunks: 50 });
    expect(world.run()).toBe('stored');
  });

  it('blames only the source that gave a wrong chunk, and asks it no more', () => {
    const world = new World({ a: good, bad: { ...good, corrupt: 100 }, c: good }, { chunks: 40 });
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
    const world = new World({ liar, second: liar, honest: good }, { chunks: 10 });
    expect(world.run()).toBe('stored');
    const blamed = [...world.state.sources.values()].filter(
      ({ standing }) => standing === 'blamed',
    );
    expect(blamed.map(({ peer }) => peer).sort()).toEqual(['liar', 'second']);
    const alone = new World({ liar }, { chunks: 10 });
    expect(alone.run()).toBe('corrupt');
  });

  it('asks a second source for what the first takes far too long for', () => {
    const slow = { ...good, tookMs: 50_000 };
    const world = new World({ slow, b: good }, { chunks: 8 });
    // The list is waited for only shortly; then the slow one is asked for nothing.
    expect(world.run()).toBe('stored');
    const late = new World({ a: good, b: good }, { chunks: 4, hints: ['a', 'b'] });
    expect(late.run()).toBe('stored');
    expect(late.nowMs).toBeLessThan(TRANSFER_STALL_MS);
  });

  it('is given up as stalled when no chunk comes', () => {
    const world = new World({ a: { ...good, fails: 100 } }, { chunks: 8 });
    expect(world.run()).toBe('stalled');
    expect(world.asked.length).toBeLessThan(20);
  });

  it('begins elsewhere when others fetch it, too', () => {
    const world = new World({ a: good, p: { ...good, whole: false } }, { chunks: 64 });
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
        const world = new World(manners, {
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
