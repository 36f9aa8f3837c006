import { describe, expect, it } from 'vitest';
import { artifactId, type PeerId, peerId } from '../words/ids.ts';
import { CHUNK_BYTES, UPLOAD_STREAMS_MAX } from '../words/limits.ts';
import type { ChunkList, Holding } from './artifact-exchange.ts';
import { makeChunkMap } from './chunk-map.ts';
import { planTransfer } from './transfer.ts';
import { applyTransfer } from './transfer-events.ts';
import { newTransfer, type TransferEvent, type TransferState } from './transfer-state.ts';

const artifact = artifactId(`sha256:${'b'.repeat(64)}`);
const source = peerId('source');
const FIND_MS = 250;
const HINT_MS = 1;

interface Stream {
  readonly from: PeerId;
  readonly to: Fetcher;
  readonly index: number;
  left: number;
}

interface Fetcher {
  readonly peer: PeerId;
  readonly state: TransferState;
  readonly here: Set<number>;
  /** When it is to be planned again. */
  wakeMs: number;
  endedMs: number | undefined;
}

/** Peers whose uplinks are the limit, each shared evenly by what it sends; time is virtual. */
class Swarm {
  nowMs = 0;
  /** Bytes that left the one who had everything. */
  sourceBytes = 0;
  readonly #fetchers: readonly Fetcher[];
  readonly #list: ChunkList;
  readonly #bytesPerMs: number;
  readonly #streams = new Set<Stream>();
  #later: { readonly atMs: number; readonly to: Fetcher; readonly event: () => TransferEvent }[] =
    [];

  constructor(fetchers: number, chunks: number, bytesPerMs: number) {
    this.#bytesPerMs = bytesPerMs;
    this.#list = {
      bytes: chunks * CHUNK_BYTES,
      digests: Array.from({ length: chunks }, (_, at) => at.toString(16).padStart(64, '0')),
    };
    this.#fetchers = Array.from({ length: fetchers }, (_, at): Fetcher => {
      const self = peerId(`fetcher-${at}`);
      const state = newTransfer({ artifact, self, hints: [source] }, 0);
      return { peer: self, state, here: new Set(), wakeMs: 0, endedMs: undefined };
    });
  }

  /** When the last has everything, in ms. */
  run(): number {
    for (let turn = 0; turn < 1_000_000; turn += 1) {
      const open = this.#fetchers.filter(({ endedMs }) => endedMs === undefined);
      if (open.length === 0) return Math.max(...this.#fetchers.map(({ endedMs }) => endedMs ?? 0));
      for (const fetcher of open) this.#plan(fetcher);
      this.#pass();
    }
    throw new Error('does not end');
  }

  #plan(fetcher: Fetcher): void {
    const { state } = fetcher;
    for (const step of planTransfer(state, this.nowMs)) {
      switch (step.kind) {
        case 'find-sources':
          this.#in(FIND_MS, fetcher, () => ({
            kind: 'sources-found',
            holdings: this.#holdings(),
          }));
          break;
        case 'ask-list':
          this.#in(HINT_MS, fetcher, () => ({
            kind: 'list-known',
            source: step.source,
            list: this.#list,
          }));
          break;
        case 'open':
          this.#in(1, fetcher, () => ({ kind: 'opened', here: fetcher.here }));
          break;
        case 'ask-chunk':
          this.#ask(fetcher, step.source, step.index);
          break;
        case 'cancel-ask':
          this.#cancel(fetcher, step.source, step.index);
          break;
        case 'commit':
          this.#in(1, fetcher, () => ({ kind: 'whole-checked', outcome: 'stored' }));
          break;
        case 'end':
          expect(step.ending).toBe('stored');
          break;
        case 'wait':
          fetcher.wakeMs = step.untilMs;
      }
    }
    if (state.phase.kind === 'ended') fetcher.endedMs = this.nowMs;
  }

  #holdings(): readonly Holding[] {
    const { bytes, digests } = this.#list;
    const partial = this.#fetchers
      .filter(({ state }) => state.phase.kind !== 'choosing')
      .map(({ peer, here, endedMs }): Holding => {
        if (endedMs !== undefined) return { artifact, peer, bytes, whole: true };
        return { artifact, peer, bytes, whole: false, here: makeChunkMap(here, digests.length) };
      });
    return [{ artifact, peer: source, bytes, whole: true }, ...partial];
  }

  #ask(to: Fetcher, from: PeerId, index: number): void {
    const owner = this.#fetchers.find(({ peer }) => peer === from);
    const streams = [...this.#streams].filter((stream) => stream.from === from).length;
    if (owner !== undefined && !owner.here.has(index)) {
      this.#refuse(to, from, index, { kind: 'not-here' });
    } else if (streams >= UPLOAD_STREAMS_MAX) {
      this.#refuse(to, from, index, { kind: 'busy', afterMs: 500 });
    } else {
      this.#streams.add({ from, to, index, left: CHUNK_BYTES });
    }
  }

  #refuse(
    to: Fetcher,
    from: PeerId,
    index: number,
    refusal: { kind: 'not-here' } | { kind: 'busy'; afterMs: number },
  ): void {
    this.#in(1, to, () => ({ kind: 'chunk-refused', source: from, index, refusal }));
  }

  #cancel(to: Fetcher, from: PeerId, index: number): void {
    for (const stream of this.#streams) {
      if (stream.to !== to || stream.from !== from || stream.index !== index) continue;
      this.#streams.delete(stream);
      this.#in(1, to, () => ({ kind: 'chunk-cancelled', source: from, index }));
    }
  }

  #in(ms: number, to: Fetcher, event: () => TransferEvent): void {
    this.#later.push({ atMs: this.nowMs + ms, to, event });
  }

  /** Lets time pass until something happens. */
  #pass(): void {
    const wakes = this.#fetchers.flatMap(({ endedMs, wakeMs }) =>
      endedMs === undefined ? [wakeMs] : [],
    );
    const moments = [...wakes, ...this.#later.map(({ atMs }) => atMs)];
    const rates = this.#rates();
    const rateOf = ({ from }: Stream): number => rates.get(from) ?? 0;
    for (const stream of this.#streams) moments.push(this.nowMs + stream.left / rateOf(stream));
    const untilMs = Math.max(this.nowMs, Math.min(...moments));
    for (const stream of this.#streams) {
      const sent = (untilMs - this.nowMs) * rateOf(stream);
      stream.left -= sent;
      if (stream.from === source) this.sourceBytes += sent;
    }
    this.nowMs = untilMs;
    for (const stream of [...this.#streams]) if (stream.left < 1) this.#arrived(stream);
    const due = this.#later.filter(({ atMs }) => atMs <= this.nowMs);
    this.#later = this.#later.filter(({ atMs }) => atMs > this.nowMs);
    for (const { to, event } of due) applyTransfer(to.state, event(), this.nowMs);
  }

  /** Bytes in a millisecond of each stream of a sender. */
  #rates(): ReadonlyMap<PeerId, number> {
    const streams = new Map<PeerId, number>();
    for (const { from } of this.#streams) streams.set(from, (streams.get(from) ?? 0) + 1);
    return new Map([...streams].map(([from, count]) => [from, this.#bytesPerMs / count]));
  }

  #arrived(stream: Stream): void {
    const { from, to, index } = stream;
    this.#streams.delete(stream);
    applyTransfer(to.state, { kind: 'chunk-received', source: from, index }, this.nowMs);
    to.here.add(index);
    applyTransfer(to.state, { kind: 'chunk-here', source: from, index }, this.nowMs);
  }
}

describe('peers that fetch the same at the same time', () => {
  const MIB_PER_S = (1024 * 1024) / 1_000;

  it.each([
    [2, 64, 1.5],
    [8, 64, 2],
    [16, 64, 2.5],
    [8, 256, 1.5],
  ])('%i of %i chunks take less than %d times what one takes', (fetchers, chunks, times) => {
    const alone = new Swarm(1, chunks, 16 * MIB_PER_S).run();
    const swarm = new Swarm(fetchers, chunks, 16 * MIB_PER_S);
    const together = swarm.run();
    expect(together / alone).toBeLessThan(times);
    expect(swarm.sourceBytes).toBeLessThan(times * chunks * CHUNK_BYTES);
  });
});
