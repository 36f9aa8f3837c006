import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type ArtifactId,
  type ArtifactKind,
  type ArtifactRef,
  type ArtifactStore,
  type ClaimId,
  type KeepOrder,
  OBJECT_ALWAYS_BYTES_MAX,
  type ObjectStoreFullError,
  type OutputEntry,
  type Tree,
} from '@podmesh/core';
import type { InputWish, LogSpool, StoredOutput, TaskFiles } from '../execute/task-files.ts';
import { ArtifactFetching, type ArtifactFetchingOptions } from './artifact-fetching.ts';
import { DiskStore } from './disk-store.ts';
import { InputPins } from './input-pins.ts';
import { LogFile } from './log-file.ts';
import { OutputPublishing, type SecondCopies } from './output-publishing.ts';
import type { Success } from './run-pins.ts';
import { SingleFlight } from './single-flight.ts';
import { buildTreeFolder, type TreeSource } from './tree-folder.ts';
import { treeMembers } from './tree-members.ts';
import { unlessAborted } from './unless-aborted.ts';

export interface LocalTaskFilesOptions extends ArtifactFetchingOptions {
  /** Told when the object store had no room for what stays on this disk therefore. */
  readonly onFull?: (error: ObjectStoreFullError) => void;
  /** Has what the object store has no room for, and no driver looks after, brought to another disk. */
  readonly copies?: SecondCopies;
  /** Told why there is no second copy of what a failed attempt left: nothing else tells. */
  readonly onShort?: (order: KeepOrder, why: string) => void;
  /** Of the same root, where others use it, too. */
  readonly store?: DiskStore;
  /** Called when an attempt is settled, for what else was kept of it. */
  readonly onRelease?: (claim: ClaimId) => Promise<void>;
}

/** {@link TaskFiles} on this machine's disk, with other peers and the mesh's artifact store behind it. */
export class LocalTaskFiles implements TaskFiles {
  readonly #store: DiskStore;
  readonly #onRelease: ((claim: ClaimId) => Promise<void>) | undefined;
  readonly #outputs: OutputPublishing;
  readonly #fetching: ArtifactFetching;
  readonly #trees: string;
  readonly #scratch: string;
  readonly #folders = new SingleFlight<ArtifactId, void>();
  readonly #pins: InputPins;

  /** `root`: a private folder of this peer, all on one file system. */
  constructor(root: string, mesh: ArtifactStore, options: LocalTaskFilesOptions = {}) {
    this.#store = options.store ?? new DiskStore(root);
    this.#onRelease = options.onRelease;
    this.#outputs = new OutputPublishing(this.#store, mesh, options);
    this.#fetching = new ArtifactFetching(this.#store, mesh, options);
    this.#pins = new InputPins(this.#store.pins);
    this.#trees = join(root, 'trees');
    this.#scratch = join(root, 'scratch');
  }

  async prepare(): Promise<void> {
    await this.#store.prepare();
    await mkdir(this.#scratch, { recursive: true, mode: 0o700 });
  }

  input(artifact: ArtifactRef, { claim, signal }: InputWish): Promise<string> {
    // What is on its way goes on for others who wait for it, too, and ends with the last of them.
    return unlessAborted((left) => this.#input(artifact, claim, left), signal);
  }

  /**
   * Pins what attempts of an earlier session read: call it before anything may be evicted. Looks at this disk only,
   * and never throws: of a directory that is not here there is nothing to lose.
   */
  async pinInputs(claim: ClaimId, inputs: readonly ArtifactRef[]): Promise<void> {
    const readTree = (listing: ArtifactId) =>
      this.#fetching.readTree(listing).catch((): Tree => ({ podmeshTree: 1, entries: [] }));
    for (const { kind, digest } of inputs) {
      if (kind === 'file') this.#pins.pin(claim, digest);
      else await this.#pins.pinDirectory(claim, digest, () => treeMembers(readTree, digest));
    }
  }

  /** What this disk had wrong. Rejects when nobody gives it. */
  fetchAgain(artifact: ArtifactId, signal: AbortSignal): Promise<void> {
    return this.#fetching.fetchAgain(artifact, signal);
  }

  async storeOutput(
    kind: ArtifactKind,
    entries: AsyncIterable<OutputEntry>,
    success?: Success,
    stop?: AbortSignal,
  ): Promise<StoredOutput> {
    return await this.#outputs.store(kind, entries, success, stop);
  }

  /** For copies of others' outputs; `sizes`: of files that no listing tells of. */
  sourceOf(sizes: ReadonlyMap<ArtifactId, number>, signal: AbortSignal): TreeSource {
    const large = [...sizes].filter(([, bytes]) => bytes > OBJECT_ALWAYS_BYTES_MAX);
    return this.#fetching.treeSource(new Map(), signal, new Map(large));
  }

  scratch(claim: ClaimId): string {
    return join(this.#scratch, claim);
  }

  /** For every task, and of most there is nothing: a look costs a tenth of what taking away nothing does. */
  async release(claim: ClaimId): Promise<void> {
    this.#pins.release(claim);
    await this.#onRelease?.(claim);
    const paths = [this.scratch(claim), this.#logOf(claim)].filter((path) => existsSync(path));
    await Promise.all(paths.map((path) => rm(path, { recursive: true, force: true })));
  }

  openLog(claim: ClaimId, of: Success): LogSpool {
    return this.#logFile(claim, of);
  }

  async reopenLog(claim: ClaimId, of: Success): Promise<LogSpool> {
    const log = this.#logFile(claim, of);
    await log.takeUp();
    return log;
  }

  async #input(
    { kind, digest, bytes }: ArtifactRef,
    claim: ClaimId,
    signal: AbortSignal,
  ): Promise<string> {
    if (kind === 'file') {
      this.#pins.pin(claim, digest);
      await this.#fetching.fetch(digest, bytes, signal);
      return this.#store.pathOf(digest);
    }
    const trees = new Map<ArtifactId, Tree>();
    // Everybody who reads the directory waits for the same listings: they come even if this attempt leaves.
    const listings = this.#fetching.treeSource(trees);
    await this.#pins.pinDirectory(claim, digest, () => treeMembers(listings.readTree, digest));
    const folder = join(this.#trees, digest.slice('sha256:'.length));
    await this.#folders.run(
      digest,
      (nobodyWaits) =>
        buildTreeFolder(this.#fetching.treeSource(trees, nobodyWaits), digest, folder),
      signal,
    );
    return folder;
  }

  #logFile(claim: ClaimId, { run, task }: Success): LogFile {
    const publish = (log: ArtifactRef, stop?: AbortSignal) =>
      this.#outputs.publishLog(log, { run, task }, stop);
    return new LogFile(this.#store, this.#logOf(claim), publish);
  }

  /** Beside the scratch directory, and like that not swept away at a start. No claim has a dot in it. */
  #logOf(claim: ClaimId): string {
    return join(this.#scratch, `${claim}.log`);
  }
}

/** SHA-256 of UTF-8 text, as core wants it handed in. */
export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
