import { expect } from 'vitest';
import { artifactId, type PeerId, peerId } from '../words/ids.ts';
import { CHUNK_BYTES, STREAMS_PER_SOURCE_MAX, STREAMS_PER_TRANSFER_MAX } from '../words/limits.ts';
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
export interface Manner {
  readonly listSeed: number;
  readonly tookMs: number;
  /** Of a hundred chunks asked of it. */
  readonly corrupt: number;
  readonly fails: number;
  readonly busy: number;
  readonly whole: boolean;
  readonly diesAtMs: number;
}
export const good: Manner = {
  listSeed: 1,
  tookMs: 10,
  corrupt: 0,
  fails: 0,
  busy: 0,
  whole: true,
  diesAtMs: Number.POSITIVE_INFINITY,
};

/** The edge in virtual time, with sources as they are told to be. */
export class TransferWorld {
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
    const { phase } = this.state;
    if (phase.kind === 'fetching') {
      // Thousands of times: an expectation for each would be slow.
      const here = phase.chunks.filter((chunk) => chunk === 'here').length;
      if (here !== phase.here) throw new Error(`${here} chunks are here, ${phase.here} counted`);
    }
    expect(chunksInFlight(this.state)).toBeLessThanOrEqual(STREAMS_PER_TRANSFER_MAX);
    for (const { asked } of this.state.sources.values()) {
      expect(asked.size).toBeLessThanOrEqual(STREAMS_PER_SOURCE_MAX);
    }
  }
}
