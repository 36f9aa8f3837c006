import {
  type ArtifactId,
  type ChunkList,
  type ChunkPlace,
  type ChunkSource,
  type ChunkTransport,
  ok,
  type PeerId,
  PortError,
  type Result,
  refused,
  SOURCE_STALL_MS,
  type SourceRefusal,
} from '@podmesh/core';
import type { FakeProcess } from '../process/fake-process.ts';
import type { ChunkAsk, ChunkFaultPlan } from './chunk-faults.ts';

interface Serving {
  readonly process: FakeProcess;
  readonly source: ChunkSource;
}

/** Who serves chunks, and what befalls those who ask for them. */
export class ChunkServer {
  readonly serving = new Map<PeerId, Serving>();
  /** Tests set it; see `seededFaults`. */
  faults: ChunkFaultPlan = () => undefined;
  /** Answers on their way: none at rest. */
  asksInFlight = 0;

  /** Serves until the signal aborts, or the process dies. */
  async serve(peer: PeerId, serving: Serving, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const end = () => {
      if (this.serving.get(peer) === serving) this.serving.delete(peer);
    };
    this.serving.set(peer, serving);
    const forget = serving.process.onDeath(end);
    await new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    forget();
    end();
  }
}

const BUSY_AFTER_MS = 500;

/** Other peers' bytes as one process gets them. */
export class FakeChunkTransport implements ChunkTransport {
  private readonly process: FakeProcess;
  private readonly server: ChunkServer;

  constructor(process: FakeProcess, server: ChunkServer) {
    this.process = process;
    this.server = server;
  }

  async chunkList(
    source: PeerId,
    artifact: ArtifactId,
    signal: AbortSignal,
  ): Promise<Result<ChunkList, SourceRefusal>> {
    const ask: ChunkAsk = { source, artifact, what: 'list' };
    const answer = await this.ask(ask, (from) => from.chunkList(artifact), signal);
    if (!answer.ok) return answer;
    const { value, fault } = answer.value;
    return ok(fault === 'lies' ? otherList(value) : value);
  }

  async fetch(
    source: PeerId,
    chunk: ChunkPlace,
    into: Uint8Array,
    signal: AbortSignal,
  ): Promise<Result<undefined, SourceRefusal>> {
    if (into.length !== chunk.bytes)
      throw new RangeError(`${into.length} bytes for a chunk of ${chunk.bytes}`);
    const ask: ChunkAsk = { source, artifact: chunk.artifact, what: chunk.index };
    const answer = await this.ask(ask, (from) => from.read(chunk), signal);
    if (!answer.ok) return answer;
    const { value, fault } = answer.value;
    const came = fault === 'dies' ? value.subarray(0, value.length >> 1) : value;
    into.set(came.subarray(0, into.length));
    if (fault === 'dies') return refused(gone(source));
    if (value.length !== chunk.bytes)
      return refused({ kind: 'short', message: `${source} sent ${value.length} bytes` });
    if (fault === 'corrupt') into[0] = (into[0] ?? 0) ^ 1;
    return ok(undefined);
  }

  /** Rejects only with the signal's reason; whatever else may happen is a refusal. */
  private async ask<T>(
    ask: ChunkAsk,
    read: (source: ChunkSource) => Promise<T | undefined>,
    signal: AbortSignal,
  ): Promise<Result<{ value: T; fault: ReturnType<ChunkFaultPlan> }, SourceRefusal>> {
    signal.throwIfAborted();
    const fault = this.server.faults(ask);
    this.server.asksInFlight += 1;
    const answer = await new Promise<Result<T, SourceRefusal> | undefined>((resolve) => {
      const stalled = refused({ kind: 'stalled', message: `${ask.source} sent nothing` } as const);
      const cancel = this.process.after(SOURCE_STALL_MS, () => end(stalled));
      const abort = () => end(undefined);
      const end = (result: Result<T, SourceRefusal> | undefined) => {
        cancel();
        signal.removeEventListener('abort', abort);
        resolve(result);
      };
      signal.addEventListener('abort', abort, { once: true });
      if (fault === 'busy') end(refused({ kind: 'busy', afterMs: BUSY_AFTER_MS }));
      else if (fault !== 'stalls') void this.exchange(ask, read, end);
    });
    this.server.asksInFlight -= 1;
    signal.throwIfAborted();
    if (answer === undefined || !answer.ok) return answer ?? refused(gone(ask.source));
    return ok({ value: answer.value, fault });
  }

  /** The question to the source's process, and its answer back; either may get lost. */
  private async exchange<T>(
    { source, artifact, what }: ChunkAsk,
    read: (source: ChunkSource) => Promise<T | undefined>,
    end: (result: Result<T, SourceRefusal>) => void,
  ): Promise<void> {
    const label = `chunks.${what} ${artifact}`;
    const answer = (result: Result<T, SourceRefusal>) =>
      this.process.receive({ label, lossy: true, action: () => end(result) });
    const serve = async ({ source: from }: Serving) => {
      try {
        const value = await read(from);
        answer(value === undefined ? refused({ kind: 'not-here' }) : ok(value));
      } catch (error) {
        answer(refused({ kind: 'refused', message: String(error) }));
      }
    };
    try {
      const serving = await this.process.call(label, () => this.server.serving.get(source));
      if (serving === undefined) return end(refused(gone(source)));
      const action = () => void serve(serving);
      serving.process.receive({ label, lossy: true, action });
    } catch (error) {
      if (!(error instanceof PortError)) throw error;
      end(refused({ kind: 'unreachable', message: error.message }));
    }
  }
}

const gone = (source: PeerId): SourceRefusal => ({
  kind: 'unreachable',
  message: `${source} does not answer`,
});

/** Consistent, and wrong in its first chunk. */
function otherList({ bytes, digests }: ChunkList): ChunkList {
  const [first = '', ...rest] = digests;
  return { bytes, digests: [[...first].reverse().join(''), ...rest] };
}
