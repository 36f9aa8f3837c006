import {
  ARTIFACT_BYTES_MAX,
  type ArtifactId,
  artifactId,
  CHUNK_BYTES,
  chunkMapBytes,
  type Holding,
  type PeerId,
  peerId,
  WHO_HAS_ARTIFACTS_MAX,
} from '@podmesh/core';
import { encodeJson } from './json-codec.ts';

/** What is asked of all peers at once. */
export interface WhoHasQuestion {
  readonly artifacts: readonly ArtifactId[];
  /** Whoever hears it answers, also when it has nothing. */
  readonly rollCall: boolean;
}

/** What one peer says. */
export interface WhoHasAnswer {
  readonly peer: PeerId;
  readonly holdings: readonly Holding[];
}

const DIGEST_BYTES = 32;
const ROLL_CALL = 1;
/** 512 entries of the largest numbers are a quarter of this. */
const ANSWER_BYTES_MAX = 64 * 1024;

/** One byte of flags and the raw digests: 16 KiB for as many as may be asked for. */
export function encodeQuestion({ artifacts, rollCall }: WhoHasQuestion): Uint8Array {
  const hex = artifacts.map((artifact) => artifact.slice('sha256:'.length)).join('');
  return Buffer.concat([Buffer.of(rollCall ? ROLL_CALL : 0), Buffer.from(hex, 'hex')]);
}

/** Undefined for what is no question of this version: anybody may publish anything. */
export function decodeQuestion(bytes: Uint8Array): WhoHasQuestion | undefined {
  const [flags] = bytes;
  const count = (bytes.length - 1) / DIGEST_BYTES;
  if (flags !== 0 && flags !== ROLL_CALL) return undefined;
  if (!Number.isInteger(count) || count < 1 || count > WHO_HAS_ARTIFACTS_MAX) return undefined;
  const hex = Buffer.from(bytes.buffer, bytes.byteOffset + 1, bytes.length - 1).toString('hex');
  const artifacts = Array.from({ length: count }, (_, index) =>
    artifactId(`sha256:${hex.slice(index * 2 * DIGEST_BYTES, (index + 1) * 2 * DIGEST_BYTES)}`),
  );
  return { artifacts, rollCall: flags === ROLL_CALL };
}

/** Artifacts are told by their place in the question, so that the answer is always one small message. */
export function encodeAnswer(
  peer: PeerId,
  holdings: readonly Omit<Holding, 'peer'>[],
  asked: readonly ArtifactId[],
): Uint8Array {
  const places = new Map(asked.map((artifact, place) => [artifact, place]));
  const has = holdings.flatMap(({ artifact, bytes, whole, here }) => {
    const place = places.get(artifact);
    if (place === undefined) return [];
    // Of many artifacts it would be too much, and nobody asks for many to fetch chunks of them.
    if (here === undefined || asked.length > 1) return [[place, bytes, whole]];
    return [[place, bytes, whole, Buffer.from(here).toString('base64')]];
  });
  return encodeJson({ peer, has });
}

/** Undefined for what is no answer to this question, as a whole: who errs once is not believed the rest. */
export function decodeAnswer(
  bytes: Uint8Array,
  asked: readonly ArtifactId[],
): WhoHasAnswer | undefined {
  if (bytes.length === 0 || bytes.length > ANSWER_BYTES_MAX) return undefined;
  try {
    const { peer, has } = JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>;
    if (typeof peer !== 'string' || !Array.isArray(has) || has.length > asked.length)
      return undefined;
    const speaker = peerId(peer);
    const holdings = has.map((entry) => holdingOf(speaker, entry, asked));
    return holdings.every((holding) => holding !== undefined)
      ? { peer: speaker, holdings }
      : undefined;
  } catch {
    // No JSON, no object, or no peer's name.
    return undefined;
  }
}

function holdingOf(
  peer: PeerId,
  entry: unknown,
  asked: readonly ArtifactId[],
): Holding | undefined {
  if (!Array.isArray(entry)) return undefined;
  const [place, bytes, whole, chunks] = entry as unknown[];
  const artifact = typeof place === 'number' ? asked[place] : undefined;
  if (artifact === undefined || typeof whole !== 'boolean') return undefined;
  if (!Number.isSafeInteger(bytes)) return undefined;
  const length = Number(bytes);
  if (length < 0 || length > ARTIFACT_BYTES_MAX) return undefined;
  const holding = { artifact, peer, bytes: length, whole };
  const here = chunkMapIn(chunks, length);
  return here === undefined ? holding : { ...holding, here };
}

/** Undefined for what is none of an artifact of this length: then it did not say. */
function chunkMapIn(text: unknown, bytes: number): Uint8Array | undefined {
  if (typeof text !== 'string') return undefined;
  const map = Buffer.from(text, 'base64');
  return map.length === chunkMapBytes(Math.ceil(bytes / CHUNK_BYTES)) ? map : undefined;
}
