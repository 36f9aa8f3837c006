import { createHash } from 'node:crypto';
import { closeSync, openSync, writeSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import {
  type ArtifactRef,
  EMPTY_ARTIFACT,
  LOG_BYTES_MAX,
  type LogRef,
  STDERR_TAIL_BYTES_MAX,
} from '@podmesh/core';
import type { LogSpool } from '../execute/task-files.ts';
import type { DiskStore, StoredFile } from './disk-store.ts';

/**
 * The log of one attempt in a file. Writes are synchronous on purpose: a task that floods its log is
 * slowed down by the disk instead of filling this process's memory.
 */
export class LogFile implements LogSpool {
  readonly #store: DiskStore;
  readonly #publish: (log: ArtifactRef) => Promise<void>;
  readonly #hash = createHash('sha256');
  #file: { readonly path: string; readonly descriptor: number } | undefined;
  #bytes = 0;
  #truncated = false;
  #tail = Buffer.alloc(0);
  /** In this machine's store already. */
  #kept: StoredFile | undefined;
  /** And where every peer can reach it. */
  #stored: LogRef | undefined;

  /** `publish` puts the stored log where every peer can reach it. */
  constructor(store: DiskStore, publish: (log: ArtifactRef) => Promise<void>) {
    this.#store = store;
    this.#publish = publish;
  }

  write(stream: 'stdout' | 'stderr', bytes: Uint8Array): void {
    if (stream === 'stderr') this.#keepTail(bytes);
    const room = LOG_BYTES_MAX - this.#bytes;
    const kept = bytes.length <= room ? bytes : bytes.subarray(0, room);
    if (kept.length < bytes.length) this.#truncated = true;
    if (kept.length === 0 || this.#kept !== undefined) return;
    try {
      this.#append(kept);
    } catch {
      // A full disk must not end the task because of its log.
      this.#truncated = true;
    }
  }

  async store(): Promise<LogRef> {
    if (this.#stored !== undefined) return this.#stored;
    const file = this.#close();
    if (file !== undefined) {
      this.#kept = await this.#store.adopt(file, this.#hash, this.#bytes);
    }
    if (this.#kept === undefined && this.#bytes > 0) throw new Error('the log could not be kept');
    const { digest, bytes } = this.#kept ?? { digest: EMPTY_ARTIFACT, bytes: 0 };
    if (bytes > 0) await this.#publish({ digest, kind: 'file', bytes });
    this.#stored = { digest, bytes, truncated: this.#truncated };
    return this.#stored;
  }

  stderrTail(): string {
    return new TextDecoder().decode(this.#tail);
  }

  async discard(): Promise<void> {
    const file = this.#close();
    if (file !== undefined && this.#stored === undefined) await rm(file, { force: true });
  }

  /** A disk that fills up takes a part of what it was given: only that part counts. */
  #append(bytes: Uint8Array): void {
    for (let rest = bytes; rest.length > 0; ) {
      const count = writeSync(this.#open(), rest);
      this.#hash.update(rest.subarray(0, count));
      this.#bytes += count;
      rest = rest.subarray(count);
    }
  }

  #open(): number {
    if (this.#file === undefined) {
      const path = this.#store.temporaryPath();
      this.#file = { path, descriptor: openSync(path, 'wx', 0o600) };
    }
    return this.#file.descriptor;
  }

  #close(): string | undefined {
    const file = this.#file;
    if (file === undefined) return undefined;
    this.#file = undefined;
    closeSync(file.descriptor);
    return file.path;
  }

  #keepTail(bytes: Uint8Array): void {
    const joined = Buffer.concat([this.#tail, bytes.subarray(-STDERR_TAIL_BYTES_MAX)]);
    this.#tail = joined.subarray(-STDERR_TAIL_BYTES_MAX);
  }
}
