import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  ARTIFACT_BYTES_MAX,
  type ArtifactId,
  assert,
  CHUNK_BYTES,
  type ChunkList,
} from '@podmesh/core';
import {
  BytesThreadLostError,
  chunkPlace,
  countChunks,
  type FileHash,
  type FollowedFile,
  type PartialArtifact,
  type PartialState,
  readPartialState,
  writePartialState,
} from '@podmesh/transfer';
import { isAbsence } from './absence.ts';
import type { Reservation } from './disk-budget.ts';
import { DiskFullError, namingFullDisk } from './disk-full-error.ts';
import type { DiskStore } from './disk-store.ts';
import { hexOf } from './store-places.ts';

/** The state is written down this often at most: so much of a transfer does a kill undo. */
const STATE_MS = 250;
const TRANSFER = { kind: 'transfer' } as const;

/**
 * An artifact that is put together in `partial/<hex>/`: a sparse file of its length, and a note of which chunks are
 * here. Chunks are checked and written in one thread; another hashes the whole behind the first chunk that is missing.
 */
export class PartialFile implements PartialArtifact {
  readonly artifact: ArtifactId;
  readonly list: ChunkList;
  readonly path: string;
  readonly #store: DiskStore;
  readonly #folder: string;
  readonly #onEnd: () => void;
  readonly #here = new Set<number>();
  /** Noted by an earlier try, and not in this list, or not looked at: another list may tell that they are right. */
  readonly #left = new Set<number>();
  readonly #writes = new Set<Promise<unknown>>();
  #room: Reservation | undefined;
  #whole: FollowedFile | undefined;
  /** Chunks from the first on without a gap. */
  #inOrder = 0;
  #notedAtMs = Number.NEGATIVE_INFINITY;
  #noting: Promise<void> | undefined;
  #hereBytes = 0;
  #committing: Promise<unknown> | undefined;
  readonly #closing = new AbortController();
  #isOver = false;
  /** What is here is of no use to anybody, or in everybody's way. */
  #isUnwanted = false;

  constructor(store: DiskStore, artifact: ArtifactId, list: ChunkList, onEnd: () => void) {
    const { bytes, digests } = list;
    assert(
      bytes >= 0 && bytes <= ARTIFACT_BYTES_MAX && digests.length === countChunks(bytes),
      'a chunk list has a digest for each chunk of an artifact that is not too large',
    );
    this.#store = store;
    this.artifact = artifact;
    this.list = list;
    this.#folder = store.places.partial(artifact);
    this.path = join(this.#folder, 'bytes');
    this.#onEnd = onEnd;
  }

  get here(): ReadonlySet<number> {
    return this.#here;
  }

  /** Takes up what an earlier try left, as far as it is right, and makes sure of room for the rest. */
  async begin(): Promise<void> {
    const { pins, budget } = this.#store;
    // Before anything is looked at: it must not be evicted now.
    pins.pin(this.artifact, TRANSFER);
    await this.#takeUp();
    this.#room = await budget.reserve(this.list.bytes - this.#hereBytes);
    await this.#naming(() => this.#makeFile());
    this.#note();
    this.#whole = this.#store.wholes.follow(this.path);
    this.#followOn();
  }

  put(index: number, bytes: Uint8Array): Promise<'here' | 'corrupt'> {
    const put = this.#put(index, bytes);
    this.#writes.add(put);
    const done = () => this.#writes.delete(put);
    put.then(done, done);
    return put;
  }

  commit(): Promise<'stored' | 'corrupt'> {
    const committing = this.#commit();
    this.#committing = committing;
    return committing;
  }

  async close(): Promise<void> {
    // Hashing is given up; after it, half a commit would leave a half of each.
    this.#closing.abort(new Error('it was closed before it was whole'));
    await this.#committing?.catch(() => undefined);
    await this.#end();
  }

  async #commit(): Promise<'stored' | 'corrupt'> {
    assert(!this.#isOver && this.#here.size === this.list.digests.length, 'all chunks are here');
    const { sha256 } = await this.#unlessClosing(this.#hashWhole());
    if (sha256 !== hexOf(this.artifact)) {
      this.#isUnwanted = true;
      await this.#end();
      return 'corrupt';
    }
    await this.#naming(() => this.#store.takeVerified(this.path, this.artifact, this.list));
    this.#isUnwanted = true;
    await this.#end();
    return 'stored';
  }

  async #end(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    await Promise.allSettled(this.#writes);
    this.#whole?.close();
    await this.#noting;
    if (this.#isUnwanted || this.#here.size + this.#left.size === 0) {
      this.#store.index.forgetPartial(this.artifact);
      await rm(this.#folder, { recursive: true, force: true });
    } else {
      await this.#writeState();
      this.#noteSize(false);
    }
    this.#room?.release();
    this.#store.pins.unpin(this.artifact, TRANSFER);
    this.#onEnd();
  }

  async #put(index: number, bytes: Uint8Array): Promise<'here' | 'corrupt'> {
    assert(!this.#isOver, 'nothing is put into what is closed');
    const { offset, bytes: wanted } = chunkPlace(this.artifact, this.list.bytes, index);
    const sha256 = this.list.digests[index];
    if (this.#here.has(index)) return 'here';
    if (sha256 === undefined || bytes.length !== wanted) return 'corrupt';
    const isRight = await this.#naming(() => this.#write({ offset, sha256 }, bytes));
    if (!isRight) return 'corrupt';
    // The same chunk may have come twice at the same time.
    if (!this.#here.has(index)) this.#room?.wrote(wanted);
    this.#count(index);
    this.#followOn();
    this.#note();
    return 'here';
  }

  /** A thread that dies takes nothing with it but bytes that were moved to it: those that are shared go to the next. */
  async #write(place: { offset: number; sha256: string }, bytes: Uint8Array): Promise<boolean> {
    const { chunks } = this.#store;
    try {
      return await chunks.put(this.path, place, bytes);
    } catch (error) {
      const isStillThere = bytes.buffer instanceof SharedArrayBuffer;
      if (!(error instanceof BytesThreadLostError) || !isStillThere) throw error;
      return await chunks.put(this.path, place, bytes);
    }
  }

  /** What a killed daemon wrote may be torn: nothing counts before it was hashed. */
  async #takeUp(): Promise<void> {
    const state = await readPartialState(this.#statePath());
    if (state?.bytes === this.list.bytes) await this.#verify(state);
    if (this.#here.size + this.#left.size === 0)
      await rm(this.#folder, { recursive: true, force: true });
  }

  async #verify({ here }: PartialState): Promise<void> {
    const noted = [...here];
    for (const index of noted) this.#left.add(index);
    const ranges = noted.map((index) => ({
      ...chunkPlace(this.artifact, this.list.bytes, index),
      sha256: this.list.digests[index] ?? '',
    }));
    const matches = await this.#store.wholes.matching(this.path, ranges).catch((error: unknown) => {
      if (error instanceof BytesThreadLostError) throw error;
      // It cannot be read: then there is nothing to go on with, for good if there is no such file.
      if (isAbsence(error)) this.#left.clear();
      return [];
    });
    for (const [at, index] of noted.entries()) if (matches[at] === true) this.#count(index);
  }

  async #makeFile(): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const file = await open(this.path, 'a', 0o600);
    try {
      await file.truncate(this.list.bytes);
    } finally {
      await file.close();
    }
  }

  /** The whole is hashed as far as there is no gap. */
  #followOn(): void {
    const before = this.#inOrder;
    while (this.#here.has(this.#inOrder)) this.#inOrder += 1;
    if (this.#inOrder === before) return;
    const last = chunkPlace(this.artifact, this.list.bytes, this.#inOrder - 1);
    this.#whole?.advance(last.offset + last.bytes);
  }

  /** Rejects when it is closed first. */
  async #unlessClosing<Value>(work: Promise<Value>): Promise<Value> {
    const { signal } = this.#closing;
    const closed = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
    const value = await Promise.race([work, closed]);
    signal.throwIfAborted();
    return value;
  }

  async #hashWhole(): Promise<FileHash> {
    try {
      assert(this.#whole !== undefined, 'it was begun');
      return await this.#whole.finish(this.list.bytes);
    } catch (error) {
      if (!(error instanceof BytesThreadLostError)) throw error;
      this.#closing.signal.throwIfAborted();
      return await this.#store.wholes.hashFile(this.path);
    }
  }

  /** Of the disk that is full nothing is kept: bytes that nobody can go on with would only be in the way. */
  async #naming<Value>(work: () => Promise<Value>): Promise<Value> {
    const where = { path: this.#store.places.root, neededBytes: this.list.bytes };
    try {
      return await namingFullDisk(where, work);
    } catch (error) {
      if (error instanceof DiskFullError) this.#isUnwanted = true;
      throw error;
    }
  }

  /** For who-has at once; for the next daemon now and then. */
  #note(): void {
    this.#noteSize(true);
    const nowMs = performance.now();
    if (this.#noting !== undefined || nowMs - this.#notedAtMs < STATE_MS) return;
    this.#notedAtMs = nowMs;
    this.#noting = this.#writeState().finally(() => {
      this.#noting = undefined;
    });
  }

  #noteSize(isOpen: boolean): void {
    const { bytes } = this.list;
    // While it is open, what is left of others is within the room that is reserved for it.
    const leftBytes = isOpen ? 0 : this.#left.size * CHUNK_BYTES;
    const hereBytes = Math.min(bytes, this.#hereBytes + leftBytes);
    this.#store.index.putPartial(this.artifact, { bytes, hereBytes, isOpen, here: this.#here });
  }

  /** What could not be written down is fetched again one day. */
  async #writeState(): Promise<void> {
    // Whatever is told too much is found out by the next try: a list that lied costs only what it wrote over.
    const state = { bytes: this.list.bytes, here: new Set([...this.#left, ...this.#here]) };
    await writePartialState(this.#statePath(), state).catch(() => undefined);
  }

  #count(index: number): void {
    if (this.#here.has(index)) return;
    this.#here.add(index);
    this.#left.delete(index);
    this.#hereBytes += chunkPlace(this.artifact, this.list.bytes, index).bytes;
  }

  #statePath(): string {
    return join(this.#folder, 'state');
  }
}
