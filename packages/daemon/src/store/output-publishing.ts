import {
  type ArtifactId,
  type ArtifactKind,
  type ArtifactRef,
  type ArtifactStore,
  EMPTY_ARTIFACT,
  type OutputEntry,
  type PinReason,
  runId,
  type TreeEntry,
  taskId,
} from '@podmesh/core';
import { makeTree } from '@podmesh/jetstream';
import { AttemptFailure } from '../execute/attempt-failure.ts';
import type { DiskStore, StoredFile } from './disk-store.ts';
import { onePiece } from './one-piece.ts';

/** Files of a directory output that are on their way into the mesh at the same time. */
const UPLOADS_MAX = 8;

/** Why an output stays until every peer can reach it. Whose it is, is not known here. */
const UNREPLICATED: PinReason = {
  kind: 'unreplicated',
  run: runId('000000000000'),
  task: taskId('unpublished'),
};

/** Stores what a task left on this disk, and puts it where every peer can reach it. */
export class OutputPublishing {
  readonly #store: DiskStore;
  readonly #mesh: ArtifactStore;
  /** How many outputs with the same bytes are on their way into the mesh. */
  readonly #unreplicated = new Map<ArtifactId, number>();

  constructor(store: DiskStore, mesh: ArtifactStore) {
    this.#store = store;
    this.#mesh = mesh;
  }

  store(kind: ArtifactKind, entries: AsyncIterable<OutputEntry>): Promise<ArtifactRef> {
    return kind === 'file' ? this.#storeFile(entries) : this.#storeDirectory(entries);
  }

  /** Of what is on this disk. */
  async publish(artifact: ArtifactRef): Promise<void> {
    if (artifact.digest === EMPTY_ARTIFACT) return;
    if ((await this.#mesh.stat([artifact.digest])).size > 0) return;
    await this.#mesh.put(artifact, this.#store.read(artifact.digest));
  }

  async #storeFile(entries: AsyncIterable<OutputEntry>): Promise<ArtifactRef> {
    for await (const entry of entries) {
      if (entry.kind !== 'file') break;
      const ref = { ...(await this.#store.write(entry.content)), kind: 'file' as const };
      await this.#publishPinned(ref);
      return ref;
    }
    throw new Error('broken invariant: a file output did not yield a file');
  }

  async #storeDirectory(entries: AsyncIterable<OutputEntry>): Promise<ArtifactRef> {
    const listed: TreeEntry[] = [];
    const uploads = new Set<Promise<void>>();
    for await (const entry of entries) {
      if (entry.kind !== 'file') {
        listed.push(entry);
        continue;
      }
      const { path, executable } = entry;
      const stored = await this.#store.write(entry.content);
      listed.push({ kind: 'file', path, executable, ...stored });
      await this.#uploadBeside(uploads, stored);
    }
    await Promise.all(uploads);
    const { ref, bytes } = listing(listed);
    await this.#store.write(onePiece(bytes));
    await this.#publishPinned(ref);
    return ref;
  }

  async #uploadBeside(uploads: Set<Promise<void>>, { digest, bytes }: StoredFile): Promise<void> {
    // Pinned while it waits for its turn, too.
    const turn = uploads.size >= UPLOADS_MAX ? Promise.race(uploads) : undefined;
    const upload = this.#publishPinned({ digest, kind: 'file', bytes }, turn);
    uploads.add(upload);
    // The failure is met by whoever awaits the set; here it must only not be forgotten.
    upload.then(() => uploads.delete(upload)).catch(() => undefined);
    await turn;
  }

  /** Until it is published this is the only copy: an eviction may not take it in between. */
  async #publishPinned(artifact: ArtifactRef, turn?: Promise<void>): Promise<void> {
    const { digest } = artifact;
    this.#unreplicated.set(digest, (this.#unreplicated.get(digest) ?? 0) + 1);
    this.#store.pins.pin(digest, UNREPLICATED);
    try {
      await turn;
      await this.publish(artifact);
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
