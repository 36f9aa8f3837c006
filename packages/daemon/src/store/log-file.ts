import { createHash } from 'node:crypto';
import { closeSync, fchmodSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { readFile, rm, stat } from 'node:fs/promises';
import {
  type ArtifactRef,
  CHUNK_BYTES,
  EMPTY_ARTIFACT,
  LOG_BYTES_MAX,
  type LogRef,
  SMALL_ARTIFACT_BYTES_MAX,
  STDERR_TAIL_BYTES_MAX,
} from '@podmesh/core';
import { BytesThreadLostError, type FileHash } from '@podmesh/transfer';
import type { LogSpool } from '../execute/task-files.ts';
import { isAbsence } from './absence.ts';
import { type DiskStore, MARK, type StoredFile } from './disk-store.ts';

/** Without the owner's right to write it was stored, and nothing comes to it any more. */
const WRITABLE = 0o200;
const WHOLE_MODE = 0o600;
/** Of a log that a later daemon may go on with: something is missing. A mode fits on a full disk, too. */
const HOLED_MODE = 0o700;
/** Something is missing: while it is written to, and once it was stored. */
const HOLED = 0o100 | MARK;

type PublishLog = (log: ArtifactRef, stop?: AbortSignal) => Promise<string | undefined>;

/**
 * The log of one attempt in a file, which outlives this process. Writes are synchronous on purpose: a
 * task that floods its log is slowed down by the disk instead of filling this process's memory.
 */
export class LogFile implements LogSpool {
  readonly #store: DiskStore;
  readonly #path: string;
  readonly #publish: PublishLog;
  /** Of a log that is small; a large one is hashed in a thread when it is stored. */
  #small = createHash('sha256');
  #descriptor: number | undefined;
  #bytes = 0;
  #truncated = false;
  #isOver = false;
  #tail = Buffer.alloc(0);
  /** In this machine's store already. */
  #kept: StoredFile | undefined;
  /** And where every peer can reach it. */
  #stored: LogRef | undefined;

  /**
   * `path`: on the store's file system. `publish` puts the stored log where every peer can reach it, or resolves with
   * why it is on this disk alone.
   */
  constructor(store: DiskStore, path: string, publish: PublishLog) {
    this.#store = store;
    this.#path = path;
    this.#publish = publish;
  }

  /**
   * Goes on with the file that an earlier process left, instead of beginning anew. None is none: there
   * was nothing to write. Never throws: one that cannot be read counts as cut off.
   */
  async takeUp(): Promise<void> {
    try {
      const { mode, size } = await stat(this.#path);
      if (size <= SMALL_ARTIFACT_BYTES_MAX) this.#small.update(await readFile(this.#path));
      this.#bytes = size;
      this.#isOver = (mode & WRITABLE) === 0;
      // Full to the last byte: nobody knows any more whether there was another.
      this.#truncated = (mode & HOLED) !== 0 || this.#bytes >= LOG_BYTES_MAX;
      if (!this.#isOver) this.#descriptor = openSync(this.#path, 'a');
    } catch (error) {
      this.#small = createHash('sha256');
      this.#bytes = 0;
      this.#truncated = !isAbsence(error);
    }
  }

  write(stream: 'stdout' | 'stderr', bytes: Uint8Array): void {
    if (stream === 'stderr') this.#keepTail(bytes);
    if (this.#isOver) return;
    const room = LOG_BYTES_MAX - this.#bytes;
    const kept = bytes.length <= room ? bytes : bytes.subarray(0, room);
    if (kept.length < bytes.length) this.#truncated = true;
    if (kept.length === 0) return;
    try {
      this.#append(kept);
    } catch {
      // A full disk must not end the task because of its log.
      this.#markHole();
    }
  }

  async store(stop?: AbortSignal): Promise<LogRef> {
    if (this.#stored !== undefined) return this.#stored;
    this.#close();
    if (this.#bytes > 0)
      this.#kept ??= await this.#store.share(this.#path, await this.#hashed(), this.#truncated);
    const { digest, bytes } = this.#kept ?? { digest: EMPTY_ARTIFACT, bytes: 0 };
    const short =
      bytes > 0 ? await this.#publish({ digest, kind: 'file', bytes }, stop) : undefined;
    const told = short === undefined ? {} : { short };
    this.#stored = { digest, bytes, truncated: this.#truncated, ...told };
    return this.#stored;
  }

  /** Only of what this process was given: which stream the bytes of an earlier one came from is not kept. */
  stderrTail(): string {
    return new TextDecoder().decode(this.#tail);
  }

  async discard(): Promise<void> {
    this.#close();
    if (this.#bytes > 0) await rm(this.#path, { force: true });
  }

  async #hashed(): Promise<FileHash> {
    if (this.#bytes <= SMALL_ARTIFACT_BYTES_MAX) {
      return { sha256: this.#small.copy().digest('hex'), bytes: this.#bytes, digests: [] };
    }
    try {
      return await this.#store.wholes.hashFile(this.#path, CHUNK_BYTES);
    } catch (error) {
      if (!(error instanceof BytesThreadLostError)) throw error;
      return await this.#store.wholes.hashFile(this.#path, CHUNK_BYTES);
    }
  }

  /** A disk that fills up takes a part of what it was given: only that part counts. */
  #append(bytes: Uint8Array): void {
    for (let rest = bytes; rest.length > 0; ) {
      // The hole may be older than the file.
      this.#descriptor ??= create(this.#path, this.#truncated ? HOLED_MODE : WHOLE_MODE);
      const count = writeSync(this.#descriptor, rest);
      this.#bytes += count;
      if (this.#bytes <= SMALL_ARTIFACT_BYTES_MAX) this.#small.update(rest.subarray(0, count));
      rest = rest.subarray(count);
    }
  }

  #markHole(): void {
    if (this.#truncated) return;
    this.#truncated = true;
    try {
      if (this.#descriptor !== undefined) fchmodSync(this.#descriptor, HOLED_MODE);
    } catch {
      // Then only this process knows of it.
    }
  }

  #close(): void {
    this.#isOver = true;
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }

  #keepTail(bytes: Uint8Array): void {
    const joined = Buffer.concat([this.#tail, bytes.subarray(-STDERR_TAIL_BYTES_MAX)]);
    this.#tail = joined.subarray(-STDERR_TAIL_BYTES_MAX);
  }
}

/** In the place of an earlier process's: that may be in the store under its digest, and is not written to. */
function create(path: string, mode: number): number {
  try {
    return openSync(path, 'wx', mode);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    unlinkSync(path);
    return openSync(path, 'wx', mode);
  }
}
