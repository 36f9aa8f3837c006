import { createHash, type Hash } from 'node:crypto';
import {
  type ArtifactId,
  ArtifactMissingError,
  CHUNK_BYTES,
  type ChunkList,
  type ChunkPlace,
  type ChunkTransport,
  type Holding,
  type PeerId,
  type SourceRefusal,
} from '@podmesh/core';
import { ArtifactCorruptError, MeshSilentError } from './mesh-errors.ts';
import { pause } from './pause.ts';

/** Chunks that are on their way from each source at the same time: the next one comes while the last one is written. */
const CHUNKS_PER_SOURCE = 2;
/** Of all sources together: so many chunks are in memory. */
const CHUNKS_AHEAD_MAX = 8;
/** How often sources that are busy, or broke off, are asked for the same chunk. */
const TRIES_MAX = 4;
/** What was begun is gone on with: so often it is asked anew who has it, without a chunk in between. */
const ROUNDS_MAX = 20;
const RETRY_MS = 500;

export interface PeerReading {
  readonly artifact: ArtifactId;
  /** Who has it now. */
  readonly find: () => Promise<readonly Holding[]>;
  readonly transport: ChunkTransport;
  /** Overrides `RETRY_MS` in tests. */
  readonly retryMs?: number;
}

interface Reading extends Required<PeerReading> {
  readonly signal: AbortSignal;
}

/** What was given out cannot be taken back. */
interface Given {
  readonly digests: string[];
  readonly whole: Hash;
}

/**
 * The bytes of an artifact that peers have, in order, from all of them at the same time. Where connections break in the
 * middle it is gone on with, also at peers that have come since. Every chunk is compared with a list of a source, and the
 * whole with its name, so what ends without an error is right. Throws `ArtifactCorruptError`, `ArtifactMissingError` where no
 * source has it, and a retryable `PortError` else.
 */
export async function* readFromPeers({
  retryMs = RETRY_MS,
  ...wanted
}: PeerReading): AsyncGenerator<Uint8Array, void, undefined> {
  const { artifact } = wanted;
  const stop = new AbortController();
  const reading = { ...wanted, retryMs, signal: stop.signal };
  const given: Given = { digests: [], whole: createHash('sha256') };
  try {
    for (let idleRounds = 1; ; idleRounds += 1) {
      const holdings = (await wanted.find()).filter(({ whole }) => whole);
      const before = given.digests.length;
      const sources = holdings.map(({ peer }) => peer);
      const refusals = yield* readRound(reading, sources, given);
      if (refusals === 'whole') return;
      if (given.digests.length > before) idleRounds = 0;
      // Nobody waits for what was never begun: whoever asked is told at once.
      if (given.digests.length === 0 || idleRounds >= ROUNDS_MAX)
        throw failureOf(artifact, holdings, refusals);
      await pause(retryMs, stop.signal);
    }
  } finally {
    stop.abort(new Error('nobody reads on'));
  }
}

/** As far as those who have it now go; why not further. */
async function* readRound(
  reading: Reading,
  peers: readonly PeerId[],
  given: Given,
): AsyncGenerator<Uint8Array, 'whole' | readonly SourceRefusal[], undefined> {
  const { artifact, transport, signal } = reading;
  const refusals: SourceRefusal[] = [];
  for (const peer of peers) {
    const list = await transport.chunkList(peer, artifact, signal);
    if (!list.ok) {
      refusals.push(list.error);
      continue;
    }
    const { digests } = list.value;
    // A source that would have begun differently is of no use.
    if (!isListOf(list.value) || given.digests.some((digest, at) => digests[at] !== digest))
      continue;
    const sources = new Set([peer, ...peers]);
    for await (const bytes of chunksOf(reading, sources, list.value, given.digests.length)) {
      if (isRefusal(bytes)) {
        refusals.push(bytes);
        break;
      }
      given.whole.update(bytes);
      given.digests.push(digests[given.digests.length] ?? '');
      yield bytes;
    }
    if (given.digests.length < digests.length) continue;
    if (`sha256:${given.whole.digest('hex')}` === artifact) return 'whole';
    throw new ArtifactCorruptError(artifact, `${peer} gave other bytes`);
  }
  return refusals;
}

function failureOf(
  artifact: ArtifactId,
  holdings: readonly Holding[],
  refusals: readonly SourceRefusal[],
): Error {
  if (refusals.every(({ kind }) => kind === 'not-here')) return new ArtifactMissingError(artifact);
  const why = refusals.map((refusal) => ('message' in refusal ? refusal.message : refusal.kind));
  return new MeshSilentError(`get ${artifact} from ${holdings.length} peers: ${why.join('; ')}`);
}

const isRefusal = (given: Uint8Array | SourceRefusal): given is SourceRefusal => 'kind' in given;

function isListOf({ bytes, digests }: ChunkList): boolean {
  return bytes > 0 && digests.length === Math.ceil(bytes / CHUNK_BYTES);
}

/** Ends with a refusal where no source gives the next one. */
async function* chunksOf(
  reading: Reading,
  sources: Set<PeerId>,
  list: ChunkList,
  from: number,
): AsyncGenerator<Uint8Array | SourceRefusal, void, undefined> {
  const ahead: Promise<Uint8Array | SourceRefusal>[] = [];
  for (let next = from; next < list.digests.length || ahead.length > 0; ) {
    const aheadMax = Math.min(CHUNKS_AHEAD_MAX, CHUNKS_PER_SOURCE * sources.size);
    while (next < list.digests.length && ahead.length < Math.max(1, aheadMax)) {
      const chunk = fetchChunk(reading, sources, list, next);
      // Left behind when this ends sooner; whoever takes it meets the failure.
      chunk.catch(() => undefined);
      ahead.push(chunk);
      next += 1;
    }
    const [first] = ahead.splice(0, 1);
    if (first === undefined) return;
    const given = await first;
    yield given;
    if (isRefusal(given)) return;
  }
}

/** From one source after the other, each chunk from another one first. Who does not have it is taken from `sources`. */
async function fetchChunk(
  { artifact, transport, signal, retryMs }: Reading,
  sources: Set<PeerId>,
  { bytes, digests }: ChunkList,
  index: number,
): Promise<Uint8Array | SourceRefusal> {
  const offset = index * CHUNK_BYTES;
  const place: ChunkPlace = {
    artifact,
    index,
    offset,
    bytes: Math.min(CHUNK_BYTES, bytes - offset),
  };
  let last: SourceRefusal = { kind: 'not-here' };
  for (let tries = 1; tries <= TRIES_MAX && sources.size > 0; tries += 1) {
    let afterMs = retryMs;
    for (const source of inTurn([...sources], index)) {
      const into = new Uint8Array(place.bytes);
      const fetched = await transport.fetch(source, place, into, signal);
      const isRight =
        fetched.ok && createHash('sha256').update(into).digest('hex') === digests[index];
      if (isRight) return into;
      last = fetched.ok
        ? { kind: 'refused', message: `${source} gave wrong bytes` }
        : fetched.error;
      if (last.kind === 'busy') afterMs = last.afterMs;
      // One that cannot be reached is not asked for each chunk again, unless it is the last.
      else if (isFinal(last) || sources.size > 1) sources.delete(source);
    }
    if (sources.size > 0 && tries < TRIES_MAX) await pause(afterMs, signal);
  }
  return last;
}

const isFinal = ({ kind }: SourceRefusal): boolean => kind === 'not-here' || kind === 'refused';

function inTurn(sources: readonly PeerId[], index: number): readonly PeerId[] {
  const first = index % sources.length;
  return [...sources.slice(first), ...sources.slice(0, first)];
}
