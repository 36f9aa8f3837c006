import { headers, type Msg, type MsgHdrs } from '@nats-io/transport-node';
import {
  ARTIFACT_BYTES_MAX,
  type ArtifactId,
  artifactId,
  CHUNK_BYTES,
  type ChunkList,
  type ChunkPlace,
  RELAY_PART_BYTES,
} from '@podmesh/core';

/**
 * One part of at most `RELAY_PART_BYTES`: of a chunk, or of the chunk list, which for the largest artifacts
 * is longer than one message may be.
 */
export type RelayQuestion =
  | { readonly kind: 'list'; readonly artifact: ArtifactId; readonly part: number }
  | { readonly kind: 'chunk'; readonly chunk: ChunkPlace; readonly part: number };

/** What came back for a part. */
export type RelayAnswer =
  | { readonly kind: 'ok'; readonly bytes: Uint8Array }
  | { readonly kind: 'busy'; readonly afterMs: number }
  | { readonly kind: 'not-here' }
  /** The server says that nobody listens there. */
  | { readonly kind: 'nobody' }
  | { readonly kind: 'nonsense' };

const DIGEST_BYTES = 32;
const QUESTION_BYTES = DIGEST_BYTES + 3 * 4;
const LIST_INDEX = 0xffff_ffff;
const STATUS = 'pm-status';
const AFTER_MS = 'pm-after-ms';
const AFTER_MS_MAX = 60_000;
const LENGTH_BYTES = 8;

/** Raw digest, index of the chunk (all ones: the list), length of the chunk, part of it; numbers big-endian. */
export function encodeRelayQuestion(question: RelayQuestion): Uint8Array {
  const list = question.kind === 'list';
  const artifact = list ? question.artifact : question.chunk.artifact;
  const bytes = Buffer.alloc(QUESTION_BYTES);
  bytes.write(artifact.slice('sha256:'.length), 'hex');
  bytes.writeUInt32BE(list ? LIST_INDEX : question.chunk.index, DIGEST_BYTES);
  bytes.writeUInt32BE(list ? 0 : question.chunk.bytes, DIGEST_BYTES + 4);
  bytes.writeUInt32BE(question.part, DIGEST_BYTES + 8);
  return bytes;
}

/** Undefined for what asks for nothing that can exist. */
export function decodeRelayQuestion(data: Uint8Array): RelayQuestion | undefined {
  if (data.length !== QUESTION_BYTES) return undefined;
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.length);
  const artifact = artifactId(`sha256:${bytes.toString('hex', 0, DIGEST_BYTES)}`);
  const index = bytes.readUInt32BE(DIGEST_BYTES);
  const length = bytes.readUInt32BE(DIGEST_BYTES + 4);
  const part = bytes.readUInt32BE(DIGEST_BYTES + 8);
  if (index === LIST_INDEX)
    return part < partsOf(LIST_BYTES_MAX) ? { kind: 'list', artifact, part } : undefined;
  const offset = index * CHUNK_BYTES;
  if (length < 1 || length > CHUNK_BYTES || part >= partsOf(length)) return undefined;
  if (offset + length > ARTIFACT_BYTES_MAX) return undefined;
  return { kind: 'chunk', chunk: { artifact, index, offset, bytes: length }, part };
}

/** How many parts so many bytes make. */
export const partsOf = (bytes: number): number => Math.ceil(bytes / RELAY_PART_BYTES);
/** Length of a part of so many bytes. */
export const partBytes = (bytes: number, part: number): number =>
  Math.max(0, Math.min(RELAY_PART_BYTES, bytes - part * RELAY_PART_BYTES));
/** The bytes of a part, without a copy. */
export const partOf = (bytes: Uint8Array, part: number): Uint8Array =>
  bytes.subarray(part * RELAY_PART_BYTES, (part + 1) * RELAY_PART_BYTES);

export function relayHeaders(status: 'ok' | 'busy' | 'not-here', afterMs?: number): MsgHdrs {
  const all = headers();
  all.set(STATUS, status);
  if (afterMs !== undefined) all.set(AFTER_MS, String(afterMs));
  return all;
}

/** Never throws: a source may send anything. */
export function decodeRelayAnswer({ data, headers: all }: Msg): RelayAnswer {
  if (all?.code === 503 && data.length === 0) return { kind: 'nobody' };
  const status = all?.get(STATUS);
  if (status === 'ok') return { kind: 'ok', bytes: data };
  if (status === 'not-here') return { kind: 'not-here' };
  if (status !== 'busy') return { kind: 'nonsense' };
  const afterMs = Number(all?.get(AFTER_MS));
  return { kind: 'busy', afterMs: Math.min(Math.max(1, afterMs || 1_000), AFTER_MS_MAX) };
}

const chunksOf = (bytes: number): number => Math.ceil(bytes / CHUNK_BYTES);
/** Length of an encoded list of an artifact of so many bytes. */
const listBytes = (bytes: number): number => LENGTH_BYTES + chunksOf(bytes) * DIGEST_BYTES;
const LIST_BYTES_MAX = listBytes(ARTIFACT_BYTES_MAX);

/** Length of the artifact, then the raw digests. */
export function encodeChunkList({ bytes, digests }: ChunkList): Uint8Array {
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeBigUInt64BE(BigInt(bytes));
  return Buffer.concat([length, Buffer.from(digests.join(''), 'hex')]);
}

/** Length of the whole encoded list by its beginning; undefined for what begins no list. */
export function encodedListBytes(beginning: Uint8Array): number | undefined {
  if (beginning.length < LENGTH_BYTES) return undefined;
  const bytes = lengthIn(beginning);
  return bytes > BigInt(ARTIFACT_BYTES_MAX) ? undefined : listBytes(Number(bytes));
}

/** Of bytes that are as long as `encodedListBytes` says. */
export function decodeChunkList(encoded: Uint8Array): ChunkList {
  const hex = Buffer.from(encoded.buffer, encoded.byteOffset, encoded.length).toString('hex');
  const bytes = Number(lengthIn(encoded));
  const digests = Array.from({ length: chunksOf(bytes) }, (_, index) => {
    const start = 2 * (LENGTH_BYTES + index * DIGEST_BYTES);
    return hex.slice(start, start + 2 * DIGEST_BYTES);
  });
  return { bytes, digests };
}

const lengthIn = (encoded: Uint8Array): bigint =>
  Buffer.from(encoded.buffer, encoded.byteOffset, LENGTH_BYTES).readBigUInt64BE();
