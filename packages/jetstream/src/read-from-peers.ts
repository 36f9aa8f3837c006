import { createHash } from 'node:crypto';
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

/** Chunks that are on their way at the same time: the next one comes while the last one is written. */
const CHUNKS_AHEAD = 2;
/** How often a source that is busy, or broke off, is asked for the same chunk. */
const TRIES_MAX = 4;
const RETRY_MS = 500;

interface Reading {
  readonly artifact: ArtifactId;
  readonly transport: ChunkTransport;
  readonly signal: AbortSignal;
}

/**
 * The bytes of an artifact that peers have, in order, from one after the other until all are there. Every chunk is
 * compared with its source's list, and the whole with its name, so what ends without an error is right. Throws
 * `ArtifactCorruptError`, `ArtifactMissingError` where no source has it, and a retryable `PortError` else.
 */
export async function* readFromPeers(
  artifact: ArtifactId,
  holdings: readonly Holding[],
  transport: ChunkTransport,
): AsyncGenerator<Uint8Array, void, undefined> {
  const whole = createHash('sha256');
  const stop = new AbortController();
  const reading = { artifact, transport, signal: stop.signal };
  const given: string[] = [];
  const refusals: SourceRefusal[] = [];
  try {
    for (const { peer } of holdings) {
      const list = await transport.chunkList(peer, artifact, stop.signal);
      if (!list.ok) {
        refusals.push(list.error);
        continue;
      }
      // What was given out cannot be taken back: a source that would have begun differently is of no use.
      if (!isListOf(list.value) || given.some((digest, at) => list.value.digests[at] !== digest))
        continue;
      for await (const bytes of chunksOf(reading, peer, list.value, given.length)) {
        if (isRefusal(bytes)) {
          refusals.push(bytes);
          break;
        }
        whole.update(bytes);
        given.push(list.value.digests[given.length] ?? '');
        yield bytes;
      }
      if (given.length < list.value.digests.length) continue;
      if (`sha256:${whole.digest('hex')}` === artifact) return;
      throw new ArtifactCorruptError(artifact, `${peer} gave other bytes`);
    }
  } finally {
    stop.abort(new Error('nobody reads on'));
  }
  if (refusals.every(({ kind }) => kind === 'not-here')) throw new ArtifactMissingError(artifact);
  const why = refusals.map((refusal) => ('message' in refusal ? refusal.message : refusal.kind));
  throw new MeshSilentError(`get ${artifact} from ${holdings.length} peers: ${why.join('; ')}`);
}

const isRefusal = (given: Uint8Array | SourceRefusal): given is SourceRefusal => 'kind' in given;

function isListOf({ bytes, digests }: ChunkList): boolean {
  return bytes > 0 && digests.length === Math.ceil(bytes / CHUNK_BYTES);
}

/** Ends with a refusal where the source gave up, or gave wrong bytes. */
async function* chunksOf(
  reading: Reading,
  source: PeerId,
  list: ChunkList,
  from: number,
): AsyncGenerator<Uint8Array | SourceRefusal, void, undefined> {
  const ahead: Promise<Uint8Array | SourceRefusal>[] = [];
  for (let next = from; next < list.digests.length || ahead.length > 0; ) {
    while (next < list.digests.length && ahead.length < CHUNKS_AHEAD) {
      const chunk = fetchChunk(reading, source, list, next);
      // Left behind when a source gives up; whoever takes it meets the failure.
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

async function fetchChunk(
  { artifact, transport, signal }: Reading,
  source: PeerId,
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
  for (let tries = 1; ; tries += 1) {
    const into = new Uint8Array(place.bytes);
    const fetched = await transport.fetch(source, place, into, signal);
    if (fetched.ok) {
      if (createHash('sha256').update(into).digest('hex') === digests[index]) return into;
      return { kind: 'refused', message: `${source} gave wrong bytes` };
    }
    const { error } = fetched;
    if (error.kind === 'not-here' || error.kind === 'refused' || tries === TRIES_MAX) return error;
    await pause(error.kind === 'busy' ? error.afterMs : RETRY_MS, signal);
  }
}
