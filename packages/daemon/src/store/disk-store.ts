import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { chmod, copyFile, link, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type ArtifactId, artifactId } from '@podmesh/core';

/** Artifacts are read by containers under other user ids: readable by all, writable by none. */
const FILE_MODE = 0o444;
const EXECUTABLE_MODE = 0o555;
/** The sticky bit, which means nothing to who reads a file: what was noted about it stays when it is stored. */
export const MARK = 0o1000;

export interface StoredFile {
  readonly digest: ArtifactId;
  readonly bytes: number;
}

interface Placing {
  readonly mode: number;
  readonly move: (from: string, to: string) => Promise<void>;
}

/**
 * The content-addressed store of one peer: bytes are written to a temporary name, hashed, synced to
 * disk and renamed, so that whatever has a digest for a name is whole.
 */
export class DiskStore {
  readonly #files: string;
  readonly #executables: string;
  readonly #temporary: string;
  #names = 0;

  constructor(root: string) {
    this.#files = join(root, 'sha256');
    this.#executables = join(root, 'executable');
    this.#temporary = join(root, 'temporary');
  }

  /** Makes the folders and sweeps away what a killed daemon left half written. */
  async prepare(): Promise<void> {
    await rm(this.#temporary, { recursive: true, force: true });
    for (const folder of [this.#files, this.#executables, this.#temporary]) {
      await mkdir(folder, { recursive: true, mode: 0o700 });
    }
  }

  /** A name in the store's file system that nothing else uses. */
  temporaryPath(): string {
    this.#names += 1;
    return join(this.#temporary, `${process.pid}-${this.#names}`);
  }

  /** Where the bytes are, or will be. */
  pathOf(artifact: ArtifactId): string {
    return shard(this.#files, artifact);
  }

  async has(artifact: ArtifactId): Promise<boolean> {
    return exists(this.pathOf(artifact));
  }

  read(artifact: ArtifactId): AsyncIterable<Uint8Array> {
    return createReadStream(this.pathOf(artifact));
  }

  /** Stores a stream; nothing is left behind when it breaks. */
  async write(source: AsyncIterable<Uint8Array>): Promise<StoredFile> {
    const path = this.temporaryPath();
    const hash = createHash('sha256');
    let bytes = 0;
    const file = await open(path, 'wx', 0o600);
    try {
      for await (const piece of source) {
        hash.update(piece);
        bytes += piece.length;
        await file.writeFile(piece);
      }
    } catch (error) {
      await file.close();
      await rm(path, { force: true });
      throw error;
    }
    await file.close();
    return this.adopt(path, hash, bytes);
  }

  /** Takes over a finished file of ours whose bytes were hashed as they were written. */
  async adopt(path: string, hash: Hash, bytes: number): Promise<StoredFile> {
    try {
      return await this.#place(path, hash, bytes, { mode: FILE_MODE, move: rename });
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    }
  }

  /**
   * The same, but the file keeps its own name, too: its bytes must never change again. Under that name
   * it has the `MARK` from the moment at which it cannot be written any more, if it is to have it.
   */
  async share(path: string, hash: Hash, bytes: number, isMarked = false): Promise<StoredFile> {
    const mode = isMarked ? FILE_MODE | MARK : FILE_MODE;
    return await this.#place(path, hash, bytes, { mode, move: linkUnlessThere });
  }

  /** The same bytes with the executable bit: a hard link would share the other's mode. */
  async executablePath(artifact: ArtifactId): Promise<string> {
    const path = shard(this.#executables, artifact);
    if (await exists(path)) return path;
    const temporary = this.temporaryPath();
    try {
      await copyFile(this.pathOf(artifact), temporary);
      await syncFile(temporary);
      await chmod(temporary, EXECUTABLE_MODE);
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      await rename(temporary, path);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
    return path;
  }

  async #place(
    path: string,
    hash: Hash,
    bytes: number,
    { mode, move }: Placing,
  ): Promise<StoredFile> {
    const digest = artifactId(`sha256:${hash.digest('hex')}`);
    await syncFile(path);
    await chmod(path, mode);
    const destination = this.pathOf(digest);
    await mkdir(dirname(destination), { recursive: true, mode: 0o700 });
    await move(path, destination);
    return { digest, bytes };
  }
}

/** What has a digest for a name is whole: the same bytes need not be there twice. */
async function linkUnlessThere(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  }
}

export async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch {
    return false;
  }
}

function shard(root: string, artifact: ArtifactId): string {
  const hex = artifact.slice('sha256:'.length);
  return join(root, hex.slice(0, 2), hex.slice(2));
}

async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
