import { createHash } from 'node:crypto';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { type ArtifactId, artifactId } from '@podmesh/core';
import type { BlobUpload } from '@podmesh/registry';
import { StreamRoom } from '../store/disk-budget.ts';
import { namingFullDisk } from '../store/disk-full-error.ts';
import type { DiskStore } from '../store/disk-store.ts';

/**
 * An upload as a temporary file of the store, where the next start sweeps what a killed daemon left. It is hashed here, piece
 * by piece as it comes from the socket: no piece is large enough to be felt.
 */
export class BlobFile implements BlobUpload {
  readonly #store: DiskStore;
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #room: StreamRoom;
  readonly #hash = createHash('sha256');
  #bytes = 0;
  #isOver = false;

  private constructor(store: DiskStore, path: string, file: FileHandle) {
    this.#store = store;
    this.#path = path;
    this.#file = file;
    this.#room = new StreamRoom(store.budget, store.places.root);
  }

  static async open(store: DiskStore): Promise<BlobFile> {
    const path = store.temporaryPath();
    const where = { path: store.places.root, neededBytes: 0 };
    return await namingFullDisk(
      where,
      async () => new BlobFile(store, path, await open(path, 'wx', 0o600)),
    );
  }

  async write(piece: Uint8Array): Promise<void> {
    const end = this.#bytes + piece.length;
    await namingFullDisk(this.#room, async () => {
      await this.#room.makeFor(end);
      await this.#file.writeFile(piece);
    });
    this.#hash.update(piece);
    this.#bytes = end;
  }

  digest(): ArtifactId {
    return artifactId(`sha256:${this.#hash.copy().digest('hex')}`);
  }

  async commit(): Promise<void> {
    this.#isOver = true;
    try {
      await this.#file.close();
      // The empty artifact is everywhere, and nowhere stored.
      if (this.#bytes === 0) await rm(this.#path, { force: true });
      else await this.#store.adopt(this.#path, this.#hash, this.#bytes);
    } finally {
      this.#room.release();
    }
  }

  async discard(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#room.release();
    await this.#file.close().catch(() => undefined);
    await rm(this.#path, { force: true });
  }
}
