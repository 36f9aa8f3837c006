import { open } from 'node:fs/promises';
import {
  type ArtifactId,
  type ArtifactKind,
  type ArtifactRef,
  type ArtifactStore,
  EMPTY_ARTIFACT,
  type KeepOrder,
  OBJECT_ALWAYS_BYTES_MAX,
  ObjectStoreFullError,
  type OutputEntry,
  type PinReason,
  runId,
  SMALL_ARTIFACT_BYTES_MAX,
  type TreeEntry,
  taskId,
} from '@podmesh/core';
import { LISTING_START, makeTree } from '@podmesh/jetstream';
import { AttemptFailure } from '../execute/attempt-failure.ts';
import type { StoredOutput } from '../execute/task-files.ts';
import { DiskFullError } from './disk-full-error.ts';
import type { DiskStore } from './disk-store.ts';
import { onePiece } from './one-piece.ts';
import type { Success } from './run-pins.ts';

/** Files of a directory output that are on their way into the mesh at the same time. */
const UPLOADS_MAX = 8;

/** Why what is on its way into the mesh stays until every peer can reach it. */
const UNREPLICATED: PinReason = {
  kind: 'unreplicated',
  run: runId('000000000000'),
  task: taskId('unpublished'),
};

/** Brings to another disk what is on this one alone. */
export interface SecondCopies {
  /** Resolves when another peer has it all, pinned, or with why none has; soon after `stop`. Never rejects. */
  bring(order: KeepOrder, stop?: AbortSignal): Promise<string | undefined>;
}

export interface OutputPublishingOptions {
  /** Told when the object store had no room for what stays on this disk therefore. */
  readonly onFull?: (error: ObjectStoreFullError) => void;
  /** For what no driver brings anywhere: logs, and what a failed attempt left. Absent: it stays here alone. */
  readonly copies?: SecondCopies;
  /** Told why there is no second copy of what a failed attempt left. */
  readonly onShort?: (order: KeepOrder, why: string) => void;
}

/** Stores what a task left on this disk, and what is small into the object store as well. */
export class OutputPublishing {
  readonly #store: DiskStore;
  readonly #mesh: ArtifactStore;
  readonly #onFull: (error: ObjectStoreFullError) => void;
  readonly #copies: SecondCopies | undefined;
  readonly #onShort: (order: KeepOrder, why: string) => void;
  /** How many outputs with the same bytes are on their way into the mesh. */
  readonly #unreplicated = new Map<ArtifactId, number>();

  constructor(store: DiskStore, mesh: ArtifactStore, options: OutputPublishingOptions = {}) {
    this.#store = store;
    this.#mesh = mesh;
    this.#onFull = options.onFull ?? (() => undefined);
    this.#copies = options.copies;
    this.#onShort = options.onShort ?? (() => undefined);
  }

  /** As `TaskFiles.storeOutput`. */
  async store(
    kind: ArtifactKind,
    entries: AsyncIterable<OutputEntry>,
    owner: Success | undefined,
    stop?: AbortSignal,
  ): Promise<StoredOutput> {
    const stored = await (kind === 'file'
      ? this.#storeFile(entries, owner)
      : this.#storeDirectory(entries, owner));
    if (owner?.apart !== true || stored.bulk !== true) return stored;
    const { bulk: _, ...ref } = stored;
    const order = { ...owner, outputs: [ref] };
    const short = await this.#copies?.bring(order, stop);
    if (short !== undefined) this.#onShort(order, short);
    return stored;
  }

  /**
   * A log that is on this disk. Where the object store has no room for it, another peer has it, too, when this resolves;
   * or it resolves with why nobody else has.
   */
  async publishLog(
    log: ArtifactRef,
    { run, task }: Success,
    stop?: AbortSignal,
  ): Promise<string | undefined> {
    try {
      await this.#publish(log, 'spare');
      return undefined;
    } catch (error) {
      if (!(error instanceof ObjectStoreFullError)) throw error;
      this.#onFull(error);
    }
    const owner = { run, task, apart: true } as const;
    await this.#store.runPins.hold(owner, [log.digest], [log.digest]).catch((error: unknown) => {
      // Then it is pinned until this daemon ends: no reason to fail a task for its log.
      if (!(error instanceof DiskFullError)) throw error;
    });
    return this.#copies === undefined
      ? 'no other peer was asked'
      : await this.#copies.bring({ ...owner, outputs: [log] }, stop);
  }

  async #publish(artifact: ArtifactRef, worth?: 'spare'): Promise<void> {
    if (artifact.digest === EMPTY_ARTIFACT) return;
    await this.#mesh.put(artifact, this.#store.read(artifact.digest), worth);
  }

  async #storeFile(
    entries: AsyncIterable<OutputEntry>,
    success: Success | undefined,
  ): Promise<StoredOutput> {
    for await (const entry of entries) {
      if (entry.kind !== 'file') break;
      const ref = { ...(await this.#store.write(entry.content)), kind: 'file' as const };
      const goesHere = success !== undefined && success.apart !== true && isLarge(ref);
      if (!goesHere && (await this.#isPublished(ref, success))) return ref;
      if (success !== undefined)
        await this.#store.runPins.hold(success, [ref.digest], [ref.digest]);
      return { ...ref, bulk: true };
    }
    throw new Error('broken invariant: a file output did not yield a file');
  }

  async #storeDirectory(
    entries: AsyncIterable<OutputEntry>,
    success: Success | undefined,
  ): Promise<StoredOutput> {
    const listed: TreeEntry[] = [];
    const uploads = new Set<Promise<void>>();
    const members: ArtifactId[] = [];
    let isBulk = false;
    for await (const entry of entries) {
      if (entry.kind !== 'file') {
        listed.push(entry);
        continue;
      }
      const { path, executable } = entry;
      const stored = await this.#store.write(entry.content);
      listed.push({ kind: 'file', path, executable, ...stored });
      if (stored.digest !== EMPTY_ARTIFACT) members.push(stored.digest);
      if (success !== undefined && success.apart !== true && isLarge(stored)) {
        isBulk = true;
        this.#store.runPins.pin(success, stored.digest);
      } else {
        await this.#uploadBeside(uploads, async (turn) => {
          if (!(await this.#isPublished({ ...stored, kind: 'file' }, success, turn))) isBulk = true;
        });
      }
    }
    await Promise.all(uploads);
    const { ref, bytes } = listing(listed);
    await this.#store.write(onePiece(bytes));
    await this.#publishPinned(ref);
    if (success === undefined || !isBulk) return ref;
    await this.#store.runPins.hold(success, [ref.digest, ...members], [ref.digest]);
    return { ...ref, bulk: true };
  }

  async #uploadBeside(
    uploads: Set<Promise<void>>,
    publish: (turn: Promise<void> | undefined) => Promise<void>,
  ): Promise<void> {
    // Pinned while it waits for its turn, too.
    const turn = uploads.size >= UPLOADS_MAX ? Promise.race(uploads) : undefined;
    const upload = publish(turn);
    uploads.add(upload);
    // The failure is met by whoever awaits the set; here it must only not be forgotten.
    upload.then(() => uploads.delete(upload)).catch(() => undefined);
    await turn;
  }

  /** False: the object store has no room for it, so that it stays pinned on this disk like one that is large. */
  async #isPublished(
    artifact: ArtifactRef,
    success: Success | undefined,
    turn?: Promise<void>,
  ): Promise<boolean> {
    try {
      const worth = (await this.#looksLikeListing(artifact)) ? undefined : 'spare';
      await this.#publishPinned(artifact, { turn, worth });
      return true;
    } catch (error) {
      if (!(error instanceof ObjectStoreFullError) || success === undefined) throw error;
      this.#onFull(error);
      this.#store.runPins.pin(success, artifact.digest);
      return false;
    }
  }

  /** Who finds such a one at a peer alone could not tell whether it is a file: it goes where that is written beside it. */
  async #looksLikeListing({ digest, bytes }: ArtifactRef): Promise<boolean> {
    if (bytes > OBJECT_ALWAYS_BYTES_MAX || bytes < LISTING_START.length) return false;
    const file = await open(this.#store.pathOf(digest), 'r');
    try {
      const { buffer } = await file.read(Buffer.alloc(LISTING_START.length), 0);
      return buffer.equals(LISTING_START);
    } finally {
      await file.close();
    }
  }

  /** Until it is published this is the only copy: an eviction may not take it in between. */
  async #publishPinned(
    artifact: ArtifactRef,
    {
      turn,
      worth,
    }: { readonly turn?: Promise<void> | undefined; readonly worth?: 'spare' | undefined } = {},
  ): Promise<void> {
    const { digest } = artifact;
    this.#unreplicated.set(digest, (this.#unreplicated.get(digest) ?? 0) + 1);
    this.#store.pins.pin(digest, UNREPLICATED);
    try {
      await turn;
      await this.#publish(artifact, worth);
    } finally {
      const left = (this.#unreplicated.get(digest) ?? 1) - 1;
      if (left > 0) this.#unreplicated.set(digest, left);
      else {
        this.#unreplicated.delete(digest);
        this.#store.pins.unpin(digest, UNREPLICATED);
      }
    }
  }
}

/** Whether it is for the disks of peers, and not for the server's object store. */
export const isLarge = ({ bytes }: { readonly bytes: number }): boolean =>
  bytes > SMALL_ARTIFACT_BYTES_MAX;

/** A link that leads outside of its directory would mean something else on every machine. */
function listing(entries: readonly TreeEntry[]): ReturnType<typeof makeTree> {
  try {
    return makeTree(entries);
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error);
    const advice = 'make the link relative, or leave it out of the output';
    throw new AttemptFailure(
      'output-missing',
      `the directory cannot be kept: ${what}; ${advice}`,
      error,
    );
  }
}
