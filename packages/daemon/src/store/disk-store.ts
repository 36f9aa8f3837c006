import type { Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { chmod, mkdir, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import {
  type ArtifactId,
  artifactId,
  CHUNK_BYTES,
  type ChunkList,
  type DiskLimits,
  SMALL_ARTIFACT_BYTES_MAX,
} from '@podmesh/core';
import { BytesThread, type FileHash } from '@podmesh/transfer';
import { isAbsence, unlinkIfThere } from './absence.ts';
import { ArtifactPins } from './artifact-pins.ts';
import { impliedChunkList, readChunkList, writeChunkList } from './chunk-list.ts';
import { DiskBudget, type DiskMeasure, RESERVE_STEP_BYTES, StreamRoom } from './disk-budget.ts';
import { namingFullDisk } from './disk-full-error.ts';
import { copySynced, exists, linkUnlessThere, syncFile } from './file-steps.ts';
import { fillIndex } from './fill-index.ts';
import { writeSnapshot } from './index-snapshot.ts';
import { RunPins } from './run-pins.ts';
import { SingleFlight } from './single-flight.ts';
import { StoreIndex, type WholeRank } from './store-index.ts';
import { hexOf, StorePlaces } from './store-places.ts';
import { StoreRemoval } from './store-removal.ts';
import { writeStream } from './stream-file.ts';
import { TurnTaking } from './turn-taking.ts';

/** Artifacts are read by containers under other user ids: readable by all, writable by none. */
const FILE_MODE = 0o444;
const EXECUTABLE_MODE = 0o555;
const SNAPSHOT_MS = 5 * 60 * 1_000;
/** The sticky bit, which means nothing to who reads a file: what was noted about it stays when it is stored. */
export const MARK = 0o1000;

export interface StoredFile {
  readonly digest: ArtifactId;
  readonly bytes: number;
}

export interface DiskStoreOptions {
  /** Overrides `defaultDiskLimits`. */
  readonly limits?: Partial<DiskLimits>;
  /** Stand in for the system in tests. */
  readonly nowMs?: () => number;
  readonly measure?: () => Promise<DiskMeasure>;
}

type Move = (from: string, to: string) => Promise<void>;

interface FinishedFile {
  readonly digest: ArtifactId;
  readonly bytes: number;
  /** Of its chunks, where they are known already. */
  readonly digests: readonly string[];
  readonly rank: WholeRank;
}

interface Placing {
  readonly mode: number;
  readonly move: Move;
}

const RENAMED: Placing = { mode: FILE_MODE, move: rename };

/**
 * The content-addressed store of one peer: bytes are written to a temporary name, hashed, synced to disk and
 * renamed, so that whatever has a digest for a name is whole. Large files are hashed in threads of its own.
 */
export class DiskStore {
  readonly places: StorePlaces;
  readonly index: StoreIndex;
  readonly pins: ArtifactPins;
  /** Outputs of runs that nothing may evict. */
  readonly runPins: RunPins;
  readonly budget: DiskBudget;
  /** Checks and writes chunks. */
  readonly chunks = new BytesThread();
  /** Hashes whole files; apart, because that may take minutes. */
  readonly wholes = new BytesThread();
  /** Nothing gets its name while it is being removed. */
  readonly #turns = new TurnTaking<ArtifactId>();
  readonly #removal: StoreRemoval;
  readonly #lists = new SingleFlight<ArtifactId, ChunkList | undefined>();
  #snapshots: NodeJS.Timeout | undefined;
  /** Written since the disk was last measured, by streams too small to be worth it. */
  #unmeasuredBytes = 0;

  constructor(root: string, { nowMs = Date.now, ...options }: DiskStoreOptions = {}) {
    this.places = new StorePlaces(root);
    this.index = new StoreIndex(nowMs);
    this.pins = new ArtifactPins(this.places.pins);
    const remove = (artifact: ArtifactId, seenAtMs: number) =>
      this.removeUnused(artifact, seenAtMs);
    const { places, index, pins } = this;
    this.runPins = new RunPins({ folder: places.heldForRuns, pins, index });
    this.#removal = new StoreRemoval({ places, index, pins, turns: this.#turns });
    const dropTrees = () => this.dropTrees();
    this.budget = new DiskBudget({ root, index, pins, remove, dropTrees, ...options });
  }

  /** Makes the folders, sweeps away what a killed daemon left half written, and sees what there is. */
  async prepare(): Promise<void> {
    const { files, executables, chunkLists, partials, temporary } = this.places;
    await rm(temporary, { recursive: true, force: true });
    for (const folder of [files, executables, chunkLists, partials, temporary]) {
      await mkdir(folder, { recursive: true, mode: 0o700 });
    }
    await this.pins.load();
    await this.runPins.load();
    await fillIndex(this.places, this.index);
    // Whose listing is not here was on its way out.
    await this.dropTrees((listing) => this.index.whole(listing) === undefined);
  }

  /** From now on use times are written down now and then. Harmless twice. */
  start(): void {
    // What could not be written is written the next time; until then it is as after a crash.
    this.#snapshots ??= setInterval(() => {
      writeSnapshot(this.places, this.index).catch(() => undefined);
    }, SNAPSHOT_MS).unref();
  }

  /** Writes use times down and ends the threads. Harmless when never started, or twice. */
  async stop(): Promise<void> {
    const wasStarted = this.#snapshots !== undefined;
    clearInterval(this.#snapshots);
    this.#snapshots = undefined;
    await Promise.all([this.chunks.stop(), this.wholes.stop()]);
    if (wasStarted) await writeSnapshot(this.places, this.index).catch(() => undefined);
  }

  /** A name in the store's file system that nothing else uses. */
  temporaryPath(): string {
    return this.places.newTemporary();
  }

  /** Where the bytes are, or will be. */
  pathOf(artifact: ArtifactId): string {
    return this.places.file(artifact);
  }

  /**
   * Looks at the disk, and counts as a use. For answers to others there is the index. Waits for a removal that has
   * begun: what was pinned before stays if this says so.
   */
  has(artifact: ArtifactId): Promise<boolean> {
    return this.#turns.run(artifact, async () => {
      const isThere = await exists(this.pathOf(artifact));
      if (isThere) this.index.hold(artifact);
      else this.index.forgetWhole(artifact);
      return isThere;
    });
  }

  /** Whether a tree is laid out there; waits for a removal, as `has` does. */
  hasTree(listing: ArtifactId, folder: string): Promise<boolean> {
    return this.#turns.run(listing, () => exists(folder));
  }

  read(artifact: ArtifactId): AsyncIterable<Uint8Array> {
    return createReadStream(this.pathOf(artifact));
  }

  /**
   * Stores a stream; nothing is left behind when it breaks. `rank`: what the bytes are worth here. Throws
   * `DiskFullError`.
   */
  async write(source: AsyncIterable<Uint8Array>, rank: WholeRank = 'kept'): Promise<StoredFile> {
    const path = this.temporaryPath();
    const room = new StreamRoom(this.budget, this.places.root);
    try {
      return await namingFullDisk(room, async () => {
        const makeRoom = (bytes: number) => room.makeFor(bytes);
        const hash = await writeStream(source, { path, thread: this.wholes, makeRoom });
        const { sha256, bytes, digests } = hash;
        await this.#measureSmall(bytes);
        const file = { digest: digestOf(sha256), bytes, digests, rank };
        return await this.#place(path, file, RENAMED);
      });
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    } finally {
      room.release();
    }
  }

  /** Takes over a finished file of ours whose bytes were hashed as they were written. */
  async adopt(path: string, hash: Hash, bytes: number): Promise<StoredFile> {
    try {
      return await this.#take(path, hash, bytes, RENAMED);
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    }
  }

  /**
   * The same, but the file keeps its own name, too: its bytes must never change again. Under that name
   * it has the `MARK` from the moment at which it cannot be written any more, if it is to have it.
   */
  async share(path: string, hash: FileHash, isMarked = false): Promise<StoredFile> {
    const { sha256, bytes, digests } = hash;
    const file: FinishedFile = { digest: digestOf(sha256), bytes, digests, rank: 'kept' };
    const mode = isMarked ? FILE_MODE | MARK : FILE_MODE;
    return await this.#naming(bytes, () =>
      this.#place(path, file, { mode, move: linkUnlessThere }),
    );
  }

  /** The same for a file whose digest and chunks were compared already. The file is the caller's when this throws. */
  async takeVerified(path: string, artifact: ArtifactId, list: ChunkList): Promise<void> {
    const file: FinishedFile = { digest: artifact, ...list, rank: 'copy' };
    await this.#naming(list.bytes, () => this.#place(path, file, RENAMED));
  }

  /** The chunk list of a whole artifact, made again where it is missing. Undefined: not here, or not what its name says. */
  async chunkList(artifact: ArtifactId): Promise<ChunkList | undefined> {
    const bytes = this.index.whole(artifact)?.bytes;
    if (bytes === undefined) return undefined;
    return (
      impliedChunkList(artifact, bytes) ??
      (await readChunkList(this.places, artifact, bytes)) ??
      (await this.#lists.run(artifact, () => this.#makeChunkList(artifact)))
    );
  }

  /** The same bytes with the executable bit: a hard link would share the other's mode. Copies nothing where the file system can. */
  async executablePath(artifact: ArtifactId): Promise<string> {
    const path = this.places.executable(artifact);
    if (await exists(path)) return path;
    const bytes = this.index.whole(artifact)?.bytes ?? 0;
    return await this.#naming(bytes, async () => {
      const room = bytes > SMALL_ARTIFACT_BYTES_MAX ? await this.budget.reserve(bytes) : undefined;
      try {
        await this.#makeExecutable(artifact, path);
      } finally {
        room?.release();
      }
      this.index.noteExecutable(artifact);
      return path;
    });
  }

  /** The same as {@link StoreRemoval}'s. */
  remove(artifact: ArtifactId): Promise<void> {
    return this.#removal.remove(artifact);
  }

  removeUnused(artifact: ArtifactId, seenAtMs: number): Promise<boolean> {
    return this.#removal.removeUnused(artifact, seenAtMs);
  }

  setAside(artifact: ArtifactId): Promise<readonly ArtifactId[]> {
    return this.#removal.setAside(artifact);
  }

  setExecutableAside(artifact: ArtifactId): Promise<readonly ArtifactId[]> {
    return this.#removal.setExecutableAside(artifact);
  }

  get asides(): number {
    return this.#removal.asides;
  }

  dropTrees(isMeant?: (listing: ArtifactId) => boolean): Promise<void> {
    return this.#removal.dropTrees(isMeant);
  }

  dropPartial(artifact: ArtifactId): Promise<void> {
    return this.#removal.dropPartial(artifact);
  }

  async #makeExecutable(artifact: ArtifactId, path: string): Promise<void> {
    const temporary = this.temporaryPath();
    try {
      await copySynced(this.pathOf(artifact), temporary, EXECUTABLE_MODE);
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      await rename(temporary, path);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
  }

  #take(path: string, hash: Hash, bytes: number, placing: Placing): Promise<StoredFile> {
    const file: FinishedFile = {
      digest: digestOf(hash.digest('hex')),
      bytes,
      digests: [],
      rank: 'kept',
    };
    return this.#naming(bytes, () => this.#place(path, file, placing));
  }

  async #place(path: string, file: FinishedFile, { mode, move }: Placing): Promise<StoredFile> {
    const { digest, bytes, rank } = file;
    await syncFile(path);
    await chmod(path, mode);
    await this.#turns.run(digest, async () => {
      await this.#name(path, file, move);
      this.index.addWhole(digest, bytes, { rank });
    });
    return { digest, bytes };
  }

  async #name(path: string, { digest, bytes, digests }: FinishedFile, move: Move): Promise<void> {
    const destination = this.pathOf(digest);
    await mkdir(dirname(destination), { recursive: true, mode: 0o700 });
    const hasList = bytes > CHUNK_BYTES && digests.length > 0;
    if (hasList) await writeChunkList(this.places, digest, digests);
    try {
      await move(path, destination);
    } catch (error) {
      if (hasList && !(await exists(destination)))
        await unlinkIfThere(this.places.chunkList(digest));
      throw error;
    }
  }

  async #makeChunkList(artifact: ArtifactId): Promise<ChunkList | undefined> {
    try {
      const { sha256, bytes, digests } = await this.wholes.hashFile(
        this.pathOf(artifact),
        CHUNK_BYTES,
      );
      if (sha256 !== hexOf(artifact)) return undefined;
      // A full disk is no reason not to tell what was just found out.
      await writeChunkList(this.places, artifact, digests).catch(() => undefined);
      return { bytes, digests };
    } catch (error) {
      if (!isAbsence(error)) throw error;
      this.index.forgetWhole(artifact);
      return undefined;
    }
  }

  /** Small streams make sure of room together, after the fact. */
  async #measureSmall(bytes: number): Promise<void> {
    if (bytes > SMALL_ARTIFACT_BYTES_MAX) return;
    this.#unmeasuredBytes += bytes;
    if (this.#unmeasuredBytes < RESERVE_STEP_BYTES) return;
    this.#unmeasuredBytes = 0;
    (await this.budget.reserve(0)).release();
  }

  #naming<Value>(neededBytes: number, work: () => Promise<Value>): Promise<Value> {
    return namingFullDisk({ path: this.places.root, neededBytes }, work);
  }
}

function digestOf(sha256: string): ArtifactId {
  return artifactId(`sha256:${sha256}`);
}
