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
  EMPTY_ARTIFACT,
  type OutputEntry,
  type PinReason,
  runId,
  SMALL_ARTIFACT_BYTES_MAX,
  type Tree,
  type TreeEntry,
  taskId,
} from '@podmesh/core';
import { makeTree, parseTree } from '@podmesh/jetstream';
import { AttemptFailure } from '../execute/attempt-failure.ts';
import type { InputWish, LogSpool, TaskFiles } from '../execute/task-files.ts';
import { TransferError } from '../transfer/transfer-error.ts';
import type { Transfers } from '../transfer/transfers.ts';
import { DiskStore, type StoredFile } from './disk-store.ts';
import { InputPins } from './input-pins.ts';
import { LogFile } from './log-file.ts';
import { SingleFlight } from './single-flight.ts';
import { buildTreeFolder, type TreeSource, treeMembers } from './tree-folder.ts';

/** Files of a directory output that are on their way into the mesh at the same time. */
const UPLOADS_MAX = 8;

/** Why an output stays until every peer can reach it. Whose it is, is not known here. */
const UNREPLICATED: PinReason = {
  kind: 'unreplicated',
  run: runId('000000000000'),
  task: taskId('unpublished'),
};

type FromPeers = Pick<Transfers, 'get' | 'nobodyHas'>;

export interface LocalTaskFilesOptions {
  /** Of the same root, where others use it, too. */
  readonly store?: DiskStore;
  /** Absent: everything comes from the mesh's store. */
  readonly fromPeers?: FromPeers;
  /** Called when an attempt is settled, for what else was kept of it. */
  readonly onRelease?: (claim: ClaimId) => Promise<void>;
}

/** {@link TaskFiles} on this machine's disk, with other peers and the mesh's artifact store behind it. */
export class LocalTaskFiles implements TaskFiles {
  readonly #store: DiskStore;
  readonly #mesh: ArtifactStore;
  readonly #fromPeers: FromPeers | undefined;
  readonly #onRelease: ((claim: ClaimId) => Promise<void>) | undefined;
  readonly #trees: string;
  readonly #scratch: string;
  readonly #fetches = new SingleFlight<ArtifactId, void>();
  readonly #folders = new SingleFlight<ArtifactId, void>();
  readonly #pins: InputPins;
  /** How many outputs with the same bytes are on their way into the mesh. */
  readonly #unreplicated = new Map<ArtifactId, number>();

  /** `root`: a private folder of this peer, all on one file system. */
  constructor(root: string, mesh: ArtifactStore, options: LocalTaskFilesOptions = {}) {
    this.#store = options.store ?? new DiskStore(root);
    this.#mesh = mesh;
    this.#fromPeers = options.fromPeers;
    this.#onRelease = options.onRelease;
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
      this.#readTree(listing).catch((): Tree => ({ podmeshTree: 1, entries: [] }));
    for (const { kind, digest } of inputs) {
      if (kind === 'file') this.#pins.pin(claim, digest);
      else await this.#pins.pinDirectory(claim, digest, () => treeMembers(readTree, digest));
    }
  }

  async storeOutput(kind: ArtifactKind, entries: AsyncIterable<OutputEntry>): Promise<ArtifactRef> {
    return kind === 'file' ? this.#storeFile(entries) : this.#storeDirectory(entries);
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

  openLog(claim: ClaimId): LogSpool {
    return this.#logFile(claim);
  }

  async reopenLog(claim: ClaimId): Promise<LogSpool> {
    const log = this.#logFile(claim);
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
      await this.#fetch(digest, bytes, signal);
      return this.#store.pathOf(digest);
    }
    const trees = new Map<ArtifactId, Tree>();
    // Everybody who reads the directory waits for the same listings: they come even if this attempt leaves.
    const listings = this.#treeSource(trees);
    await this.#pins.pinDirectory(claim, digest, () => treeMembers(listings.readTree, digest));
    const folder = join(this.#trees, digest.slice('sha256:'.length));
    await this.#folders.run(
      digest,
      (nobodyWaits) => buildTreeFolder(this.#treeSource(trees, nobodyWaits), digest, folder),
      signal,
    );
    return folder;
  }

  #logFile(claim: ClaimId): LogFile {
    return new LogFile(this.#store, this.#logOf(claim), (log) => this.#publish(log));
  }

  /** Beside the scratch directory, and like that not swept away at a start. No claim has a dot in it. */
  #logOf(claim: ClaimId): string {
    return join(this.#scratch, `${claim}.log`);
  }

  async #storeFile(entries: AsyncIterable<OutputEntry>): Promise<ArtifactRef> {
    for await (const entry of entries) {
      if (entry.kind !== 'file') break;
      const ref = { ...(await this.#store.write(entry.content)), kind: 'file' as const };
      await this.#publishPinned(ref);
      return ref;
    }
    throw new Error('broken invariant: a file output did not yield a file');
  }

  async #storeDirectory(entries: AsyncIterable<OutputEntry>): Promise<ArtifactRef> {
    const listed: TreeEntry[] = [];
    const uploads = new Set<Promise<void>>();
    for await (const entry of entries) {
      if (entry.kind !== 'file') {
        listed.push(entry);
        continue;
      }
      const { path, executable } = entry;
      const stored = await this.#store.write(entry.content);
      listed.push({ kind: 'file', path, executable, ...stored });
      await this.#uploadBeside(uploads, stored);
    }
    await Promise.all(uploads);
    const { ref, bytes } = listing(listed);
    await this.#store.write(once(bytes));
    await this.#publishPinned(ref);
    return ref;
  }

  async #uploadBeside(uploads: Set<Promise<void>>, { digest, bytes }: StoredFile): Promise<void> {
    // Pinned while it waits for its turn, too.
    const turn = uploads.size >= UPLOADS_MAX ? Promise.race(uploads) : undefined;
    const upload = this.#publishPinned({ digest, kind: 'file', bytes }, turn);
    uploads.add(upload);
    // The failure is met by whoever awaits the set; here it must only not be forgotten.
    upload.then(() => uploads.delete(upload)).catch(() => undefined);
    await turn;
  }

  /** Until it is published this is the only copy: an eviction may not take it in between. */
  async #publishPinned(artifact: ArtifactRef, turn?: Promise<void>): Promise<void> {
    const { digest } = artifact;
    this.#unreplicated.set(digest, (this.#unreplicated.get(digest) ?? 0) + 1);
    this.#store.pins.pin(digest, UNREPLICATED);
    try {
      await turn;
      await this.#publish(artifact);
    } finally {
      const left = (this.#unreplicated.get(digest) ?? 1) - 1;
      if (left > 0) this.#unreplicated.set(digest, left);
      else {
        this.#unreplicated.delete(digest);
        this.#store.pins.unpin(digest, UNREPLICATED);
      }
    }
  }

  async #publish(artifact: ArtifactRef): Promise<void> {
    if (artifact.digest === EMPTY_ARTIFACT) return;
    if ((await this.#mesh.stat([artifact.digest])).size > 0) return;
    await this.#mesh.put(artifact, this.#store.read(artifact.digest));
  }

  /** Without `bytes` it is a listing, or small. */
  async #fetch(artifact: ArtifactId, bytes = 0, signal?: AbortSignal): Promise<void> {
    if (await this.#store.has(artifact)) return;
    const work = (nobodyWaits: AbortSignal) => this.#bring(artifact, bytes, nobodyWaits);
    await this.#fetches.run(artifact, work, signal);
  }

  async #bring(artifact: ArtifactId, bytes: number, signal: AbortSignal): Promise<void> {
    const isLarge = bytes > SMALL_ARTIFACT_BYTES_MAX;
    if (isLarge && (await this.#fetchFromPeers(artifact, bytes, signal))) return;
    signal.throwIfAborted();
    const source = artifact === EMPTY_ARTIFACT ? once(new Uint8Array()) : this.#mesh.get(artifact);
    const stored = await this.#store.write(untilAborted(source, signal), 'copy');
    if (stored.digest === artifact) return this.#store.dropPartial(artifact);
    throw new Error(`asked the mesh for ${artifact}, was given ${stored.digest}`);
  }

  /** Whether a peer had it. What this machine itself cannot do (a full disk) is no reason to ask elsewhere. */
  async #fetchFromPeers(
    artifact: ArtifactId,
    bytes: number,
    signal: AbortSignal,
  ): Promise<boolean> {
    try {
      await this.#fromPeers?.get(artifact, { bytes, signal });
      return this.#fromPeers !== undefined;
    } catch (error) {
      if (error instanceof TransferError) return false;
      throw error;
    }
  }

  /** Reads each listing once, those in `trees` not at all. */
  #treeSource(trees: Map<ArtifactId, Tree>, signal?: AbortSignal): TreeSource {
    // Large ones. Which of them nobody has is asked once for all: one by one, each would cost a second of waiting.
    const sizes = new Map<ArtifactId, number>();
    const asked = new Set<ArtifactId>();
    const noteSizes = ({ entries }: Tree): void => {
      for (const entry of entries) {
        if (entry.kind !== 'file' || entry.bytes <= SMALL_ARTIFACT_BYTES_MAX) continue;
        if (!asked.has(entry.digest)) sizes.set(entry.digest, entry.bytes);
      }
    };
    for (const tree of trees.values()) noteSizes(tree);
    return {
      store: this.#store,
      fetch: async (artifact) => {
        if (sizes.has(artifact) && !asked.has(artifact)) {
          const open = [...sizes.keys()].filter((member) => !asked.has(member));
          for (const member of open) asked.add(member);
          for (const missing of await this.#atNoPeer(open, signal)) sizes.delete(missing);
        }
        await this.#fetch(artifact, sizes.get(artifact), signal);
      },
      readTree: async (artifact) => {
        const known = trees.get(artifact);
        if (known !== undefined) return known;
        await this.#fetch(artifact, 0, signal);
        const tree = await this.#readTree(artifact);
        trees.set(artifact, tree);
        noteSizes(tree);
        return tree;
      },
    };
  }

  /** Of the given ones that are not here, those that no other peer has. */
  async #atNoPeer(
    artifacts: readonly ArtifactId[],
    signal = new AbortController().signal,
  ): Promise<Iterable<ArtifactId>> {
    const { index } = this.#store;
    const away = artifacts.filter((artifact) => index.whole(artifact) === undefined);
    if (away.length === 0 || this.#fromPeers === undefined) return [];
    return await this.#fromPeers.nobodyHas(away, signal);
  }

  /** Of a listing that is here. */
  async #readTree(artifact: ArtifactId): Promise<Tree> {
    return parseTree(await readAll(this.#store.read(artifact)), artifact);
  }
}

/** SHA-256 of UTF-8 text, as core wants it handed in. */
export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** A link that leads outside of its directory would mean something else on every machine. */
function listing(entries: readonly TreeEntry[]): ReturnType<typeof makeTree> {
  try {
    return makeTree(entries);
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error);
    const advice = 'make the link relative, or leave it out of the output';
    throw new AttemptFailure(
      'output-missing',
      `the directory cannot be kept: ${what}; ${advice}`,
      error,
    );
  }
}

/**
 * What the work gives, but rejects with the signal's reason as soon as that aborts; nothing begins after that. The
 * work has a signal of its own: the attempt's would collect a listener for each of many inputs' waits.
 */
async function unlessAborted<T>(
  work: (signal: AbortSignal) => Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  signal.throwIfAborted();
  const stop = new AbortController();
  return await new Promise<T>((resolve, reject) => {
    const leave = (): void => {
      stop.abort(signal.reason);
      reject(signal.reason);
    };
    signal.addEventListener('abort', leave, { once: true });
    work(stop.signal)
      .then(resolve, reject)
      .finally(() => signal.removeEventListener('abort', leave));
  });
}

async function readAll(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of source) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** Ends with the signal's reason, even while the source gives nothing. */
async function* untilAborted(
  source: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncIterable<Uint8Array> {
  const iterator = source[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await unlessAborted(() => iterator.next(), signal);
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    // Not waited for: a source that hangs would hold up its own end.
    iterator.return?.().catch(() => undefined);
  }
}

async function* once(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes;
}
