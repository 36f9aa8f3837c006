import {
  type ArtifactFinder,
  type ArtifactId,
  applyTransfer,
  type ChunkTransport,
  type Clock,
  isChunkWanted,
  newTransfer,
  type PeerId,
  planTransfer,
  type Result,
  refused,
  type SourceRefusal,
  type TransferEvent,
  type TransferOrder,
  type TransferState,
  type TransferStep,
  unreachable,
} from '@podmesh/core';
import type { ArtifactDisk, PartialArtifact } from './artifact-disk.ts';
import type { ChunkMemory } from './chunk-memory.ts';
import { chunkPlace } from './chunk-place.ts';
import { TransferError } from './transfer-error.ts';

export interface TransferRunParts {
  readonly disk: ArtifactDisk;
  readonly finder: Pick<ArtifactFinder, 'whoHas'>;
  readonly transport: ChunkTransport;
  readonly clock: Clock;
  readonly memory: ChunkMemory;
  /** Peers that gave wrong bytes lately, whatever for. */
  readonly isBlamed: (peer: PeerId) => boolean;
}

/** Waits without an event are bounded by the plan; this is for those that it leaves open. */
const REST_MS_MAX = 60_000;

/**
 * What is still looking through what an earlier try had left, which may be 64 GiB, when its own try has ended: that
 * one did not wait for it, the next of the same artifact does.
 */
const leftOpening = new WeakMap<ArtifactDisk, Map<ArtifactId, Promise<void>>>();

/** Carries out the plan of one transfer: all that is decided is decided in `planTransfer`. */
export class TransferRun {
  readonly #parts: TransferRunParts;
  readonly #state: TransferState;
  readonly #stop = new AbortController();
  readonly #work = new Set<Promise<void>>();
  readonly #asks = new Map<string, AbortController>();
  #partial: PartialArtifact | undefined;
  #failure: { readonly error: unknown } | undefined;
  #rest = new AbortController();

  constructor(parts: TransferRunParts, order: TransferOrder) {
    this.#parts = parts;
    const hints = (order.hints ?? []).filter((peer) => !parts.isBlamed(peer));
    this.#state = newTransfer({ ...order, hints }, parts.clock.nowMs());
  }

  /** Peers that gave wrong bytes, or a wrong list for the whole; not those who only pass on what they fetch. */
  get blamed(): readonly PeerId[] {
    const sources = [...this.#state.sources.values()];
    return sources
      .filter(({ standing, whole }) => standing === 'blamed' && whole)
      .map(({ peer }) => peer);
  }

  /** Rejects with a `TransferError`, with what the disk throws, or with the signal's reason. */
  async run(signal: AbortSignal): Promise<void> {
    const abort = (): void => this.#rest.abort();
    signal.addEventListener('abort', abort, { once: true });
    try {
      for (;;) {
        signal.throwIfAborted();
        if (this.#failure !== undefined) throw this.#failure.error;
        this.#rest = new AbortController();
        let restMs = REST_MS_MAX;
        for (const step of planTransfer(this.#state, this.#parts.clock.nowMs())) {
          if (step.kind === 'end' && step.ending !== 'stored') {
            throw new TransferError(this.#state.artifact, step.ending);
          }
          if (step.kind === 'wait') restMs = step.untilMs - this.#parts.clock.nowMs();
          else this.#carryOut(step);
        }
        if (this.#state.phase.kind === 'ended') return;
        await this.#parts.clock.sleep(Math.min(REST_MS_MAX, restMs), this.#rest.signal);
      }
    } finally {
      signal.removeEventListener('abort', abort);
      this.#stop.abort();
      for (const ask of this.#asks.values()) ask.abort();
      await Promise.all(this.#work);
      await this.#partial?.close();
    }
  }

  #carryOut(step: Exclude<TransferStep, { kind: 'wait' }>): void {
    switch (step.kind) {
      case 'find-sources':
        this.#begin(this.#find(step.until));
        break;
      case 'ask-list':
        this.#begin(this.#askList(step.source));
        break;
      case 'open':
        this.#begin(this.#open(step));
        break;
      case 'ask-chunk':
        this.#begin(this.#askChunk(step.source, step.index));
        break;
      case 'cancel-ask':
        this.#asks.get(askKey(step.source, step.index))?.abort();
        break;
      case 'commit':
        this.#begin(this.#commit());
        break;
      case 'end':
        break;
      default:
        unreachable(step);
    }
  }

  /** Notes how it ends; an error is this machine's own, and ends the transfer. */
  #begin(work: Promise<TransferEvent>): void {
    const noted = work
      .then((event) => this.#note(event))
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .finally(() => {
        this.#work.delete(noted);
        this.#rest.abort();
      });
    this.#work.add(noted);
  }

  #note(event: TransferEvent): void {
    applyTransfer(this.#state, event, this.#parts.clock.nowMs());
  }

  async #find(until: 'first' | 'everybody'): Promise<TransferEvent> {
    const { artifact } = this.#state;
    const { finder, isBlamed } = this.#parts;
    // A mesh that cannot be asked knows nobody: the caller tries again, or elsewhere.
    const found = await finder
      .whoHas([artifact], until, this.#stop.signal)
      .then((holders) => holders.found.get(artifact) ?? [])
      .catch(() => []);
    return { kind: 'sources-found', holdings: found.filter(({ peer }) => !isBlamed(peer)) };
  }

  async #askList(source: PeerId): Promise<TransferEvent> {
    const { transport } = this.#parts;
    const { artifact } = this.#state;
    const answered = await answerOf(transport.chunkList(source, artifact, this.#stop.signal));
    return answered.ok
      ? { kind: 'list-known', source, list: answered.value }
      : { kind: 'list-refused', source, refusal: answered.error };
  }

  async #open({ list }: Extract<TransferStep, { kind: 'open' }>): Promise<TransferEvent> {
    await this.#partial?.close();
    this.#partial = undefined;
    const { disk } = this.#parts;
    const { artifact } = this.#state;
    const left = leftOpening.get(disk) ?? new Map<ArtifactId, Promise<void>>();
    leftOpening.set(disk, left);
    await this.#unlessStopped(left.get(artifact) ?? Promise.resolve());
    const opening = disk.begin(artifact, list);
    try {
      this.#partial = await this.#unlessStopped(opening);
    } catch (error) {
      const closed = opening
        .then((partial) => partial.close())
        .catch(() => undefined)
        .finally(() => left.delete(artifact));
      left.set(artifact, closed);
      throw error;
    }
    return { kind: 'opened', here: this.#partial.here };
  }

  async #askChunk(source: PeerId, index: number): Promise<TransferEvent> {
    const { artifact, phase } = this.#state;
    const partial = this.#partial;
    if (phase.kind !== 'fetching' || partial === undefined) {
      throw new Error('broken invariant: a chunk is asked for before the disk is ready');
    }
    const ask = new AbortController();
    const key = askKey(source, index);
    this.#asks.set(key, ask);
    const place = chunkPlace(artifact, phase.group.list.bytes, index);
    const { transport, memory } = this.#parts;
    return await memory.lend(place.bytes, async (into) => {
      const answered = await answerOf(transport.fetch(source, place, into, ask.signal));
      this.#asks.delete(key);
      if (ask.signal.aborted || (answered.ok && !isChunkWanted(this.#state, index))) {
        return { kind: 'chunk-cancelled', source, index };
      }
      if (!answered.ok) return { kind: 'chunk-refused', source, index, refusal: answered.error };
      this.#note({ kind: 'chunk-received', source, index });
      this.#rest.abort();
      const outcome = await partial.put(index, into);
      return { kind: outcome === 'here' ? 'chunk-here' : 'chunk-corrupt', source, index };
    });
  }

  async #commit(): Promise<TransferEvent> {
    const partial = this.#partial;
    this.#partial = undefined;
    if (partial === undefined) throw new Error('broken invariant: nothing to commit');
    let closing: Promise<void> | undefined;
    const close = (): void => {
      closing ??= partial.close();
      closing.catch(() => undefined);
    };
    // Closed while its whole is hashed, it gives that up, and is kept as it is.
    this.#stop.signal.addEventListener('abort', close, { once: true });
    try {
      return { kind: 'whole-checked', outcome: await partial.commit() };
    } catch (error) {
      close();
      throw error;
    } finally {
      this.#stop.signal.removeEventListener('abort', close);
      await closing;
    }
  }

  /** Rejects when this run ends first. */
  async #unlessStopped<Value>(work: Promise<Value>): Promise<Value> {
    const { signal } = this.#stop;
    let stop = (): void => undefined;
    const stopped = new Promise<never>((_, reject) => {
      stop = () => reject(signal.reason);
      signal.addEventListener('abort', stop, { once: true });
      if (signal.aborted) stop();
    });
    try {
      return await Promise.race([work, stopped]);
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }
}

const askKey = (source: PeerId, index: number): string => `${source} ${index}`;

/** A way that breaks, aborted or not, is one that refuses; whoever aborted it knows. */
async function answerOf<Value>(
  asked: Promise<Result<Value, SourceRefusal>>,
): Promise<Result<Value, SourceRefusal>> {
  try {
    return await asked;
  } catch (error) {
    return refused({ kind: 'refused', message: String(error) });
  }
}
