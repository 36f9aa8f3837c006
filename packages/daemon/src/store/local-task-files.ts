import { createHash } from 'node:crypto';
import { setMaxListeners } from 'node:events';
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
  SMALL_ARTIFACT_BYTES_MAX,
  type Tree,
  type TreeEntry,
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

export interface LocalTaskFilesOptions {
  /** Of the same root, where others use it, too. */
  readonly store?: DiskStore;
  /** Absent: everything comes from the mesh's store. */
  readonly fromPeers?: Pick<Transfers, 'get'>;
}

/** {@link TaskFiles} on this machine's disk, with other peers and the mesh's artifact store behind it. */
export class LocalTaskFiles implements TaskFiles {
  readonly #store: DiskStore;
  readonly #mesh: ArtifactStore;
  readonly #fromPeers: Pick<Transfers, 'get'> | undefined;
  /** An input is fetched for whoever needs it next, too: only the end of the daemon ends it. */
  readonly #never = new AbortController().signal;
  readonly #trees: string;
  readonly #scratch: string;
  readonly #fetches = new SingleFlight<ArtifactId, void>();
  readonly #folders = new SingleFlight<ArtifactId, void>();
  readonly #pins: InputPins;

  /** `root`: a private folder of this peer, all on one file system. */
  constructor(root: string, mesh: ArtifactStore, options: LocalTaskFilesOptions = {}) {
    this.#store = options.store ?? new DiskStore(root);
    this.#mesh = mesh;
    this.#fromPeers = options.fromPeers;
    this.#pins = new InputPins(this.#store.pins);
    // Any number of tasks may wait for the same inputs.
    setMaxListeners(0, this.#never);
    this.#trees = join(root, 'trees');
    this.#scratch = join(root, 'scratch');
  }

  async prepare(): Promise<void> {
    await this.#store.prepare();
    await mkdir(this.#scratch, { recursive: true, mode: 0o700 });
  }

  input(artifact: ArtifactRef, { claim, signal }: InputWish): Promise<string> {
    // What is on its way goes on for the next who needs it; only this attempt waits no longer.
    return unlessAborted(() => this.#input(artifact, claim), signal);
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

  async #input({ kind, digest, bytes }: ArtifactRef, claim: ClaimId): Promise<string> {
    if (kind === 'file') {
      this.#pins.pin(claim, digest);
      await this.#fetch(digest, bytes);
      return this.#store.pathOf(digest);
    }
    const source = this.#treeSource();
    await this.#pins.pinDirectory(claim, digest, () => treeMembers(source.readTree, digest));
    const folder = join(this.#trees, digest.slice('sha256:'.length));
    await this.#folders.run(digest, () => buildTreeFolder(source, digest, folder));
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
      await this.#publish(ref);
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
    await this.#publish(ref);
    return ref;
  }

  async #uploadBeside(uploads: Set<Promise<void>>, { digest, bytes }: StoredFile): Promise<void> {
    if (uploads.size >= UPLOADS_MAX) await Promise.race(uploads);
    const upload = this.#publish({ digest, kind: 'file', bytes });
    uploads.add(upload);
    // The failure is met by whoever awaits the set; here it must only not be forgotten.
    upload.then(() => uploads.delete(upload)).catch(() => undefined);
  }

  async #publish(artifact: ArtifactRef): Promise<void> {
    if (artifact.digest === EMPTY_ARTIFACT) return;
    if ((await this.#mesh.stat([artifact.digest])).size > 0) return;
    await this.#mesh.put(artifact, this.#store.read(artifact.digest));
  }

  /** Without `bytes` it is a listing, or small. */
  async #fetch(artifact: ArtifactId, bytes = 0): Promise<void> {
    if (await this.#store.has(artifact)) return;
    await this.#fetches.run(artifact, async () => {
      if (bytes > SMALL_ARTIFACT_BYTES_MAX && (await this.#fetchFromPeers(artifact, bytes))) return;
      const source =
        artifact === EMPTY_ARTIFACT ? once(new Uint8Array()) : this.#mesh.get(artifact);
      const stored = await this.#store.write(source, 'copy');
      if (stored.digest === artifact) return this.#store.dropPartial(artifact);
      throw new Error(`asked the mesh for ${artifact}, was given ${stored.digest}`);
    });
  }

  /** Whether a peer had it. What this machine itself cannot do (a full disk) is no reason to ask elsewhere. */
  async #fetchFromPeers(artifact: ArtifactId, bytes: number): Promise<boolean> {
    try {
      await this.#fromPeers?.get(artifact, { bytes, signal: this.#never });
      return this.#fromPeers !== undefined;
    } catch (error) {
      if (error instanceof TransferError) return false;
      throw error;
    }
  }

  /** Reads each listing once. */
  #treeSource(): TreeSource {
    const sizes = new Map<ArtifactId, number>();
    const trees = new Map<ArtifactId, Tree>();
    return {
      store: this.#store,
      fetch: (artifact) => this.#fetch(artifact, sizes.get(artifact)),
      readTree: async (artifact) => {
        const known = trees.get(artifact);
        if (known !== undefined) return known;
        await this.#fetch(artifact);
        const tree = await this.#readTree(artifact);
        trees.set(artifact, tree);
        for (const entry of tree.entries) {
          if (entry.kind === 'file') sizes.set(entry.digest, entry.bytes);
        }
        return tree;
      },
    };
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

/** What the work gives, but rejects with the signal's reason as soon as that aborts; nothing begins after that. */
async function unlessAborted<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  return await new Promise<T>((resolve, reject) => {
    const leave = (): void => reject(signal.reason);
    signal.addEventListener('abort', leave, { once: true });
    work()
      .then(resolve, reject)
      .finally(() => signal.removeEventListener('abort', leave));
  });
}

async function readAll(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of source) pieces.push(piece);
  return Buffer.concat(pieces);
}

async function* once(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes;
}
