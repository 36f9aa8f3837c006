import type { Sequence, StaleAppend } from '../ports.ts';
import type { ActionDigest, ArtifactId, RunId } from '../words/ids.ts';
import type { Result } from '../words/result.ts';
import type { ArtifactKind } from './artifact.ts';

/**
 * The object store as its sweep sees it (DESIGN §4, §7). What keeps the sweep from taking what somebody is about to refer to:
 *
 * 1. A pass *announces* a horizon (the last sequence of the store before it began to look) and the sequences of what nothing
 *    referred to. It removes nothing of that.
 * 2. Whoever puts an artifact that is there, at or below the announced horizon, writes its entry anew: a new sequence.
 * 3. The next pass begins no earlier than the grace after that announcement, by the server's stamps. It removes the very
 *    entries (by sequence) that were announced and that nothing refers to now either.
 *
 * So a reference is safe when it follows its put, or the reference it was found by, within the grace: if the put came
 * after the announcement, the entry that was announced is gone; if before, the reference is there when the next pass
 * looks. No clock of a peer is asked, and a sweeper that is frozen between looking and removing is as harmless as two.
 */
export interface ArtifactShelf {
  look(): Promise<ShelfLook>;
  /** All artifacts that are there now, in the order of their sequences. */
  list(signal: AbortSignal): AsyncIterable<readonly ShelvedArtifact[]>;
  /** Behind the note that was seen (0: none was). */
  announce(note: SweepNote, expected: Sequence): Promise<Result<Sequence, StaleAppend>>;
  /** Removes this very entry; its bytes go with `removeUnfinished`. False: it was written anew, or is gone. */
  remove(entry: ShelvedArtifact): Promise<boolean>;
  /** Removes bytes without an entry of which the newest is at or below `horizon`, uploads that nobody ended among them. Of how many. */
  removeUnfinished(horizon: Sequence, signal: AbortSignal): Promise<number>;
  /** As putting them again would: for whoever is going to refer to what is there, and has no bytes to put. */
  refresh(artifacts: readonly ArtifactId[]): Promise<void>;
}

export interface ShelvedArtifact {
  readonly artifact: ArtifactId;
  readonly kind: ArtifactKind;
  readonly bytes: number;
  /** Of the entry; another one as soon as it is written anew. */
  readonly sequence: Sequence;
  /** Where the bytes are: the adapter's own name for it. */
  readonly place: string;
}

/** What a pass leaves to the next one. */
export interface SweepNote {
  readonly horizon: Sequence;
  /** Ascending; what nothing referred to. */
  readonly condemned: readonly Sequence[];
  /** Told to people. */
  readonly kept: number;
  readonly removed: number;
}

export interface ShelfLook {
  /** The server's time. */
  readonly nowMs: number;
  readonly lastSequence: Sequence;
  readonly bytes: number;
  /** Absent: nobody set a bound. */
  readonly bytesMax?: number;
  /** Of the newest pass; `atMs` by the server's stamp. */
  readonly note?: { readonly value: SweepNote; readonly sequence: Sequence; readonly atMs: number };
}

/** Somebody refers to an artifact. `holds`: its bytes name further ones, whatever kind it is stored as. */
export interface Reference {
  readonly artifact: ArtifactId;
  readonly holds: boolean;
}

/**
 * Everything in the mesh that refers to artifacts: images, results of the cache, offers, and last the facts of all runs,
 * because references move in this order, and one that moves while it is read must be seen at least once.
 */
export interface MeshReferences {
  read(signal: AbortSignal): AsyncIterable<readonly Reference[]>;
}

/** A finished run whose log is there: times by the server's stamps. */
export interface FinishedRun {
  readonly run: RunId;
  readonly endedAtMs: number;
  /** False: only its end is left, which names its record. */
  readonly hasLog: boolean;
}

export interface RecordedResult {
  readonly action: ActionDigest;
  readonly sequence: Sequence;
  readonly recordedAtMs: number;
}

/** What the mesh forgets after its time (DESIGN §5). All of it may be done twice, and by several. */
export interface Retention {
  /** The server's time. */
  nowMs(): Promise<number>;
  finishedRuns(): Promise<readonly FinishedRun[]>;
  /** Everything but its end. */
  purgeLog(run: RunId): Promise<void>;
  /** Its end as well: afterwards nothing tells that the run ever was. */
  forgetRun(run: RunId): Promise<void>;
  results(signal: AbortSignal): AsyncIterable<readonly RecordedResult[]>;
  /** That very record; one that was made anew stays. */
  forgetResult(result: RecordedResult): Promise<void>;
}
