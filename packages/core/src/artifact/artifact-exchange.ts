import type { ArtifactId, PeerId } from '../words/ids.ts';
import { WHO_HAS_ARTIFACTS_MAX, WHO_HAS_EVERYBODY_MS, WHO_HAS_MS } from '../words/limits.ts';
import type { Result } from '../words/result.ts';
import type { ChunkMap } from './chunk-map.ts';

/** What one peer says it has of an artifact. */
export interface Holding {
  readonly artifact: ArtifactId;
  readonly peer: PeerId;
  /** Length of the artifact. */
  readonly bytes: number;
  /** False: only some chunks as yet, all of them verified. */
  readonly whole: boolean;
  /** Which chunks, where it is not whole and says so: only to who asks for this one artifact. */
  readonly here?: ChunkMap;
}

/** `first`: a holder of each will do. `everybody`: all who have some. `roll-call`: all, and who does not. */
export type WhoHasUntil = 'first' | 'everybody' | 'roll-call';

/** Who has which bytes, as the peers themselves answered. */
export interface Holders {
  readonly found: ReadonlyMap<ArtifactId, readonly Holding[]>;
  /** Listed in the directory and silent: what they have is not known. */
  readonly silent: readonly PeerId[];
}

/**
 * Asks the peers themselves who has which bytes. Nothing about holders is stored anywhere: a record of it would
 * be wrong as soon as a disk is emptied, and cost a write for every copy that is made.
 */
export interface ArtifactFinder {
  /**
   * At most `WHO_HAS_ARTIFACTS_MAX` artifacts. `first`: ends when each has a holder, or after `WHO_HAS_MS`.
   * `everybody`: ends after `WHO_HAS_EVERYBODY_MS` with all who answered until then.
   * `roll-call`: ends when every listed peer has answered, or was asked again in vain; only then does it mean
   * anything that nobody has something.
   */
  whoHas(
    artifacts: readonly ArtifactId[],
    until: WhoHasUntil,
    signal: AbortSignal,
  ): Promise<Holders>;
  /** Answers for this peer until the signal aborts. `holds` must be quick: it is asked for everything anybody looks for. */
  answer(
    peer: PeerId,
    holds: (artifacts: readonly ArtifactId[]) => readonly Omit<Holding, 'peer'>[],
    signal: AbortSignal,
  ): Promise<void>;
}

/** How long each time is waited for answers: a silent peer of a roll call is asked again at 1 s and at 3 s. */
export const WHO_HAS_ROUNDS_MS = {
  first: [WHO_HAS_MS],
  everybody: [WHO_HAS_EVERYBODY_MS],
  'roll-call': [WHO_HAS_MS, 2 * WHO_HAS_MS, WHO_HAS_MS],
} as const;

/** What one question asks for, each once. More than fit into one are the caller's mistake. */
export function whoHasQuestion(artifacts: readonly ArtifactId[]): readonly ArtifactId[] {
  const wanted = [...new Set(artifacts)];
  if (wanted.length > WHO_HAS_ARTIFACTS_MAX) {
    throw new RangeError(`${wanted.length} artifacts in one question`);
  }
  return wanted;
}

/** The SHA-256 of each chunk of `CHUNK_BYTES` of an artifact, in order; the last chunk is what remains. */
export interface ChunkList {
  readonly bytes: number;
  /** In hex. */
  readonly digests: readonly string[];
}

/** A chunk of an artifact: which bytes, and whose. */
export interface ChunkPlace {
  readonly artifact: ArtifactId;
  readonly index: number;
  readonly offset: number;
  readonly bytes: number;
}

/** Why a source did not give what it was asked for. */
export type SourceRefusal =
  | { readonly kind: 'not-here' }
  /** It serves as many as it can; it may name others that have the same. */
  | { readonly kind: 'busy'; readonly afterMs: number }
  | {
      readonly kind: 'unreachable' | 'stalled' | 'short' | 'refused';
      readonly message: string;
    };

/** One way to another peer's bytes. Nothing that it gives is trusted: callers compare digests. */
export interface ChunkTransport {
  chunkList(
    source: PeerId,
    artifact: ArtifactId,
    signal: AbortSignal,
  ): Promise<Result<ChunkList, SourceRefusal>>;
  /**
   * Fills `into`, which is as long as the chunk. The caller compares digests. Never takes longer without a byte
   * than `SOURCE_STALL_MS`. Rejects only when the signal aborts.
   */
  fetch(
    source: PeerId,
    chunk: ChunkPlace,
    into: Uint8Array,
    signal: AbortSignal,
  ): Promise<Result<undefined, SourceRefusal>>;
}

/** What a transport serves to others: the store of one peer. */
export interface ChunkSource {
  /** Undefined: not here, or not whole yet and without a list. */
  chunkList(artifact: ArtifactId): Promise<ChunkList | undefined>;
  /** Bytes of a chunk that is here and verified; undefined where it is not. */
  read(chunk: ChunkPlace): Promise<Uint8Array | undefined>;
}
