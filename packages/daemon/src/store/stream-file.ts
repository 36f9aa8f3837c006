import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { CHUNK_BYTES, SMALL_ARTIFACT_BYTES_MAX } from '@podmesh/core';
import {
  type BytesThread,
  BytesThreadLostError,
  type FileHash,
  type FollowedFile,
} from '@podmesh/transfer';

/** Small pieces are gathered: every write is a journey to another thread. */
const WRITE_BYTES = 1024 * 1024;

export interface StreamTarget {
  /** A file that does not exist. */
  readonly path: string;
  readonly thread: BytesThread;
  /** Called before each write with how much there will be after it; waited for. */
  readonly makeRoom: (bytes: number) => Promise<void>;
}

/**
 * Writes a stream into a new file and hashes it: a small one here, a large one, with its chunks, in the thread, which
 * reads behind us what was just written. The file is the caller's to remove, whatever happens.
 */
export async function writeStream(
  source: AsyncIterable<Uint8Array>,
  target: StreamTarget,
): Promise<FileHash> {
  const file = await open(target.path, 'wx', 0o600);
  const growing = new GrowingFile(file, target);
  try {
    for await (const piece of source) await growing.add(piece);
    return await growing.finish();
  } finally {
    growing.close();
    await file.close();
  }
}

class GrowingFile {
  readonly #file: FileHandle;
  readonly #target: StreamTarget;
  readonly #small = createHash('sha256');
  #followed: FollowedFile | undefined;
  #joint = Buffer.alloc(0);
  #gathered: Uint8Array[] = [];
  #gatheredBytes = 0;
  #bytes = 0;

  constructor(file: FileHandle, target: StreamTarget) {
    this.#file = file;
    this.#target = target;
  }

  async add(piece: Uint8Array): Promise<void> {
    this.#gathered.push(piece);
    this.#gatheredBytes += piece.length;
    if (this.#gatheredBytes >= WRITE_BYTES) await this.#write();
  }

  async finish(): Promise<FileHash> {
    if (this.#gatheredBytes > 0) await this.#write();
    const { path, thread } = this.#target;
    if (this.#followed === undefined) {
      return { sha256: this.#small.digest('hex'), bytes: this.#bytes, digests: [] };
    }
    try {
      return await this.#followed.finish(this.#bytes);
    } catch (error) {
      if (!(error instanceof BytesThreadLostError)) throw error;
      // All its bytes are in the file: only the hashing has to begin anew.
      return await thread.hashFile(path, CHUNK_BYTES);
    }
  }

  close(): void {
    this.#followed?.close();
  }

  async #write(): Promise<void> {
    const bytes = this.#joined();
    this.#gathered = [];
    this.#gatheredBytes = 0;
    const end = this.#bytes + bytes.length;
    await this.#target.makeRoom(end);
    await this.#file.writeFile(bytes);
    this.#bytes = end;
    this.#hash(bytes);
  }

  /** In the same memory each time: it is written before the next is gathered, and fresh memory is dear. */
  #joined(): Uint8Array {
    const [first, ...others] = this.#gathered;
    if (first !== undefined && others.length === 0) return first;
    if (this.#joint.length < this.#gatheredBytes) {
      this.#joint = Buffer.allocUnsafeSlow(this.#gatheredBytes);
    }
    let end = 0;
    for (const piece of this.#gathered) {
      this.#joint.set(piece, end);
      end += piece.length;
    }
    return this.#joint.subarray(0, end);
  }

  #hash(bytes: Uint8Array): void {
    if (this.#bytes <= SMALL_ARTIFACT_BYTES_MAX) {
      this.#small.update(bytes);
      return;
    }
    const { path, thread } = this.#target;
    this.#followed ??= thread.follow(path, CHUNK_BYTES);
    this.#followed.advance(this.#bytes);
  }
}
