import { createReadStream } from 'node:fs';
import {
  type ArtifactFinder,
  type ArtifactId,
  ArtifactMissingError,
  type ArtifactStore,
  EMPTY_ARTIFACT,
  type PinReason,
  SMALL_ARTIFACT_BYTES_MAX,
} from '@podmesh/core';
import type { BlobRange, BlobStore, BlobUpload } from '@podmesh/registry';
import { TransferError, type Transfers } from '@podmesh/transfer';
import type { DiskStore } from '../store/disk-store.ts';
import { SingleFlight } from '../store/single-flight.ts';
import { BlobFile } from './blob-file.ts';
import { SHARED_PART_BYTES_MAX } from './image-limits.ts';

const IMAGE: PinReason = { kind: 'image' };

export interface ArtifactBlobsParts {
  readonly store: DiskStore;
  readonly artifacts: ArtifactStore;
  readonly finder: ArtifactFinder;
  readonly fromPeers: Pick<Transfers, 'get' | 'nobodyHas'>;
}

/** The parts of images as artifacts: on this disk, at other peers, or in the mesh's object store. */
export class ArtifactBlobs implements BlobStore {
  readonly #parts: ArtifactBlobsParts;
  readonly #fetches = new SingleFlight<ArtifactId, number | undefined>();

  constructor(parts: ArtifactBlobsParts) {
    this.#parts = parts;
  }

  async find(blob: ArtifactId, signal: AbortSignal): Promise<number | undefined> {
    if (blob === EMPTY_ARTIFACT) return 0;
    const here = await this.#here(blob);
    if (here !== undefined) return here;
    const { artifacts, finder, fromPeers } = this.#parts;
    const stored = (await artifacts.stat([blob])).get(blob);
    if (stored !== undefined) return stored.bytes;
    if ((await fromPeers.nobodyHas([blob], signal)).has(blob)) return undefined;
    const { found } = await finder.whoHas([blob], 'first', signal);
    return found.get(blob)?.find(({ whole }) => whole)?.bytes;
  }

  /** Whether every one of them is here or somewhere else. */
  async areAllSomewhere(blobs: readonly ArtifactId[], signal: AbortSignal): Promise<boolean> {
    const { artifacts, fromPeers } = this.#parts;
    const absent: ArtifactId[] = [];
    for (const blob of blobs) {
      if (blob !== EMPTY_ARTIFACT && (await this.#here(blob)) === undefined) absent.push(blob);
    }
    if (absent.length === 0) return true;
    const stored = await artifacts.stat(absent);
    const open = absent.filter((blob) => !stored.has(blob));
    return open.length === 0 || (await fromPeers.nobodyHas(open, signal)).size === 0;
  }

  async bring(
    blob: ArtifactId,
    bytes: number | undefined,
    signal: AbortSignal,
  ): Promise<number | undefined> {
    if (blob === EMPTY_ARTIFACT) return 0;
    const here = await this.#here(blob);
    if (here !== undefined) return here;
    return await this.#fetches.run(blob, (left) => this.#fetch(blob, bytes, left), signal);
  }

  async *read(blob: ArtifactId, { start, end }: BlobRange): AsyncIterable<Uint8Array> {
    if (start >= end) return;
    yield* createReadStream(this.#parts.store.pathOf(blob), { start, end: end - 1 });
  }

  hold(blobs: readonly ArtifactId[]): () => void {
    const { pins } = this.#parts.store;
    const held = new Set(blobs);
    pins.pinSet(held, IMAGE);
    return () => pins.unpinSet(held);
  }

  async share(blob: ArtifactId, bytes: number): Promise<void> {
    if (blob === EMPTY_ARTIFACT || bytes > SHARED_PART_BYTES_MAX) return;
    const { artifacts, store } = this.#parts;
    await artifacts.put({ digest: blob, kind: 'file', bytes }, store.read(blob));
  }

  beginUpload(): Promise<BlobUpload> {
    return BlobFile.open(this.#parts.store);
  }

  async #here(blob: ArtifactId): Promise<number | undefined> {
    const { store } = this.#parts;
    // Most are asked for to learn that they are not here; the disk is looked at for the others.
    if (store.index.whole(blob) === undefined || !(await store.has(blob))) return undefined;
    return store.index.whole(blob)?.bytes;
  }

  async #fetch(
    blob: ArtifactId,
    bytes: number | undefined,
    signal: AbortSignal,
  ): Promise<number | undefined> {
    const { artifacts, store } = this.#parts;
    const stored = (await artifacts.stat([blob])).get(blob);
    const isSmall = stored !== undefined && stored.bytes <= SMALL_ARTIFACT_BYTES_MAX;
    const length = bytes ?? stored?.bytes;
    if (!isSmall && (await this.#fetchFromPeers(blob, length, signal))) {
      return await this.#here(blob);
    }
    if (stored === undefined) return undefined;
    try {
      const source = until(signal, artifacts.get(blob));
      const written = await store.write(source, 'copy');
      return written.digest === blob ? written.bytes : undefined;
    } catch (error) {
      if (error instanceof ArtifactMissingError) return undefined;
      throw error;
    }
  }

  /** Whether a peer had it. What this machine itself cannot do (a full disk) is no reason to ask elsewhere. */
  async #fetchFromPeers(
    blob: ArtifactId,
    bytes: number | undefined,
    signal: AbortSignal,
  ): Promise<boolean> {
    try {
      const length = bytes === undefined ? {} : { bytes };
      await this.#parts.fromPeers.get(blob, { ...length, signal });
      return true;
    } catch (error) {
      if (error instanceof TransferError) return false;
      throw error;
    }
  }
}

async function* until(
  signal: AbortSignal,
  source: AsyncIterable<Uint8Array>,
): AsyncIterable<Uint8Array> {
  for await (const piece of source) {
    signal.throwIfAborted();
    yield piece;
  }
}
