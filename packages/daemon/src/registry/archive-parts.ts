import { createReadStream } from 'node:fs';
import { type FileHandle, open, rm, stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { type ArtifactId, artifactId, EMPTY_ARTIFACT, type ManifestRecord } from '@podmesh/core';
import {
  type ArchivedImage,
  ArchiveProblem,
  COMPRESSION_BYTES,
  compressionOf,
  readImageArchive,
  type SeekableBytes,
} from '@podmesh/registry';
import { StreamRoom } from '../store/disk-budget.ts';
import { isFullDisk, namingFullDisk } from '../store/disk-full-error.ts';
import type { DiskStore } from '../store/disk-store.ts';
import { SingleFlight } from '../store/single-flight.ts';
import { writeStream } from '../store/stream-file.ts';
import type { ArtifactBlobs } from './artifact-blobs.ts';
import { expansionBound } from './expansion-bound.ts';
import { EXPANDED_PIECE_BYTES } from './image-limits.ts';

/** An image whose parts are artifacts on this disk. */
export interface PartedImage {
  readonly record: ManifestRecord;
  /** Its manifest, config and layers. */
  readonly parts: readonly ArtifactId[];
}

/** Makes artifacts of the manifest, the config and the layers in image archives that are on this disk. */
export class ArchiveParts {
  readonly #store: DiskStore;
  readonly #blobs: Pick<ArtifactBlobs, 'hold'>;
  readonly #flights = new SingleFlight<ArtifactId, PartedImage | undefined>();

  constructor(store: DiskStore, blobs: Pick<ArtifactBlobs, 'hold'>) {
    this.#store = store;
    this.#blobs = blobs;
  }

  /**
   * Once for all who want it meanwhile. Undefined of what only Podman can read. Throws an `ArchiveProblem`, or a
   * `DiskFullError`; what was stored until then is whole, and the first to go.
   */
  take(archive: ArtifactId, signal?: AbortSignal): Promise<PartedImage | undefined> {
    return this.#flights.run(archive, (left) => this.#take(archive, left), signal);
  }

  async #take(archive: ArtifactId, signal: AbortSignal): Promise<PartedImage | undefined> {
    if (archive === EMPTY_ARTIFACT) throw new ArchiveProblem('is empty');
    const path = this.#store.pathOf(archive);
    const compression = compressionOf(await beginOf(path));
    if (compression === undefined) return await this.#takeFrom(path, signal);
    // Podman reads such an archive, Node does not.
    if (compression !== 'gzip') return undefined;
    const expanded = this.#store.temporaryPath();
    try {
      await this.#expand(path, expanded, signal);
      return await this.#takeFrom(expanded, signal);
    } finally {
      await rm(expanded, { force: true });
    }
  }

  async #takeFrom(path: string, signal: AbortSignal): Promise<PartedImage | undefined> {
    const image = await openedAt(path, (source) => readImageArchive(source, signal));
    if (image === undefined) return undefined;
    const { record, manifest } = image;
    const all = [record.digest, ...image.parts.map(({ digest }) => digest)];
    // The empty artifact is everywhere, and nowhere stored.
    const parts = all.filter((digest) => digest !== EMPTY_ARTIFACT);
    const release = this.#blobs.hold(parts);
    try {
      await this.#storeParts(path, image, signal);
      await this.#storePart(record.digest, [manifest]);
      return { record, parts };
    } finally {
      release();
    }
  }

  /** One after the other: it is one disk. */
  async #storeParts(path: string, { parts }: ArchivedImage, signal: AbortSignal): Promise<void> {
    for (const { digest, start, bytes } of parts) {
      signal.throwIfAborted();
      if (bytes === 0 || (await this.#isHere(digest))) continue;
      const piece = createReadStream(path, { start, end: start + bytes - 1, signal });
      await this.#storePart(digest, piece);
    }
  }

  /** Also another image's, or a pushed one's: what is here is not written again. */
  async #isHere(part: ArtifactId): Promise<boolean> {
    const { index } = this.#store;
    return index.whole(part) !== undefined && (await this.#store.has(part));
  }

  /** Gets its name only if that is what it is. */
  async #storePart(
    part: ArtifactId,
    source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  ): Promise<void> {
    const store = this.#store;
    const path = store.temporaryPath();
    const room = new StreamRoom(store.budget, store.places.root);
    try {
      const { sha256, bytes, digests } = await namingFullDisk(room, () =>
        writeStream(inPieces(source), {
          path,
          thread: store.wholes,
          makeRoom: (bytes) => room.makeFor(bytes),
        }),
      );
      const found = artifactId(`sha256:${sha256}`);
      if (found !== part)
        throw new ArchiveProblem(`is damaged: its part ${part} has the digest ${found}`);
      await store.takeVerified(path, part, { bytes, digests });
    } finally {
      room.release();
      await rm(path, { force: true });
    }
  }

  /** No more than an image may take: what gets larger than that was made to fill disks, or to empty stores. */
  async #expand(from: string, to: string, signal: AbortSignal): Promise<void> {
    const { size } = await stat(from);
    const { bytesMax, because } = expansionBound(size, await this.#store.budget.freeRoom());
    const room = new StreamRoom(this.#store.budget, this.#store.places.root);
    const file = await open(to, 'wx', 0o600);
    const expanding = createGunzip({ chunkSize: EXPANDED_PIECE_BYTES });
    // How it ends is met by who reads what comes out of it.
    pipeline(createReadStream(from), expanding, { signal }).catch(() => undefined);
    try {
      let bytes = 0;
      for await (const piece of expanding as AsyncIterable<Uint8Array>) {
        bytes += piece.length;
        if (bytes > bytesMax)
          throw new ArchiveProblem(
            `of ${size} bytes grows to more than ${bytesMax} when it is expanded, ${because}`,
          );
        const end = bytes;
        await namingFullDisk(room, async () => {
          await room.makeFor(end);
          await file.writeFile(piece);
        });
      }
    } catch (error) {
      if (isZlibError(error)) throw new ArchiveProblem(`is damaged: ${error.message}`, error);
      throw error;
    } finally {
      room.release();
      expanding.destroy();
      await file.close();
    }
  }
}

async function* inPieces(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>) {
  yield* source;
}

async function openedAt<T>(path: string, work: (source: SeekableBytes) => Promise<T>): Promise<T> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    return await work({ bytes: size, read: (start, length) => readFrom(file, start, length) });
  } finally {
    await file.close();
  }
}

async function readFrom(file: FileHandle, start: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  for (let got = 0; got < length; ) {
    const { bytesRead } = await file.read(buffer, got, length - got, start + got);
    if (bytesRead === 0) throw new ArchiveProblem('became shorter while it was read');
    got += bytesRead;
  }
  return buffer;
}

async function beginOf(path: string): Promise<Uint8Array> {
  const file = await open(path, 'r');
  try {
    const begin = Buffer.alloc(COMPRESSION_BYTES);
    const { bytesRead } = await file.read(begin, 0, COMPRESSION_BYTES, 0);
    return begin.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

/** What zlib says of bytes that are not what they should be. */
function isZlibError(error: unknown): error is Error {
  return (
    error instanceof Error &&
    !isFullDisk(error) &&
    'code' in error &&
    /^Z_/.test(String(error.code))
  );
}
