import { setTimeout as pause } from 'node:timers/promises';
import {
  type ArtifactId,
  ArtifactMissingError,
  type ArtifactStore,
  EMPTY_ARTIFACT,
  OBJECT_ALWAYS_BYTES_MAX,
  type Tree,
} from '@podmesh/core';
import { parseTree } from '@podmesh/jetstream';
import { TransferError, type Transfers } from '@podmesh/transfer';
import type { DiskStore } from './disk-store.ts';
import { onePiece } from './one-piece.ts';
import { isLarge } from './output-publishing.ts';
import { SingleFlight } from './single-flight.ts';
import type { TreeSource } from './tree-folder.ts';
import { unlessAborted } from './unless-aborted.ts';

export type FromPeers = Pick<Transfers, 'get' | 'nobodyHas'>;

export interface ArtifactFetchingOptions {
  /** Absent: everything comes from the mesh's store. */
  readonly fromPeers?: FromPeers;
  /** What nobody had is asked for once more after this; tests shorten it. */
  readonly askAgainMs?: number;
}

/** Longer than `Transfers` believes that nobody has something. */
const ASK_AGAIN_MS = 6_000;

/** Brings artifacts to this disk: large ones from other peers, the rest from the mesh's store. */
export class ArtifactFetching {
  readonly #store: DiskStore;
  readonly #mesh: ArtifactStore;
  readonly #fromPeers: FromPeers | undefined;
  readonly #fetches = new SingleFlight<ArtifactId, void>();

  readonly #askAgainMs: number;

  constructor(store: DiskStore, mesh: ArtifactStore, options: ArtifactFetchingOptions) {
    this.#store = store;
    this.#mesh = mesh;
    this.#fromPeers = options.fromPeers;
    this.#askAgainMs = options.askAgainMs ?? ASK_AGAIN_MS;
  }

  /** Without `bytes` it is a listing, or small. */
  async fetch(artifact: ArtifactId, bytes = 0, signal?: AbortSignal): Promise<void> {
    if (await this.#store.has(artifact)) return;
    const work = (nobodyWaits: AbortSignal) => this.#bring(artifact, bytes, nobodyWaits);
    await this.#fetches.run(artifact, work, signal);
  }

  /** Whatever its length is: from the mesh's store, or else from peers. Rejects when nobody gives it. */
  async fetchAgain(artifact: ArtifactId, signal: AbortSignal): Promise<void> {
    if (await this.#store.has(artifact)) return;
    const bring = async (nobodyWaits: AbortSignal): Promise<void> => {
      try {
        await this.#bringFromStore(artifact, nobodyWaits);
      } catch (error) {
        nobodyWaits.throwIfAborted();
        if (this.#fromPeers === undefined) throw error;
        await this.#fromPeers.get(artifact, { signal: nobodyWaits });
      }
    };
    await this.#fetches.run(artifact, bring, signal);
  }

  /** Reads each listing once, those in `trees` not at all. `sizes`: of large files that no listing tells of. */
  treeSource(
    trees: Map<ArtifactId, Tree>,
    signal?: AbortSignal,
    // Which of them nobody has is asked once for all: one by one, each would cost a second of waiting.
    sizes = new Map<ArtifactId, number>(),
  ): TreeSource {
    const asked = new Set<ArtifactId>();
    const noteSizes = ({ entries }: Tree): void => {
      for (const entry of entries) {
        if (entry.kind !== 'file' || entry.bytes <= OBJECT_ALWAYS_BYTES_MAX) continue;
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
        await this.fetch(artifact, sizes.get(artifact), signal);
      },
      readTree: async (artifact) => {
        const known = trees.get(artifact);
        if (known !== undefined) return known;
        await this.fetch(artifact, 0, signal);
        const tree = await this.readTree(artifact);
        trees.set(artifact, tree);
        noteSizes(tree);
        return tree;
      },
    };
  }

  /** Of a listing that is here. */
  async readTree(artifact: ArtifactId): Promise<Tree> {
    return parseTree(await readAll(this.#store.read(artifact)), artifact);
  }

  async #bring(artifact: ArtifactId, bytes: number, signal: AbortSignal): Promise<void> {
    if (this.#fromPeers === undefined) return await this.#bringFromStore(artifact, signal);
    // What is small is there alone only when the object store had no room for it.
    if (isLarge({ bytes }) && (await this.#fetchFromPeers(artifact, bytes, signal))) return;
    signal.throwIfAborted();
    try {
      await this.#bringFromStore(artifact, signal);
    } catch (error) {
      if (!(error instanceof ArtifactMissingError)) throw error;
      const isAsked = isLarge({ bytes });
      // A peer whose machine is busy answers late: before an attempt fails for that, everybody is asked once more.
      if (!isAsked && (await this.#fetchFromPeers(artifact, bytes, signal))) return;
      await pause(this.#askAgainMs, undefined, { signal });
      if (await this.#fetchFromPeers(artifact, bytes, signal)) return;
      throw error;
    }
  }

  async #bringFromStore(artifact: ArtifactId, signal: AbortSignal): Promise<void> {
    const source =
      artifact === EMPTY_ARTIFACT ? onePiece(new Uint8Array()) : this.#mesh.get(artifact);
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
      // Without a length it is whatever the holders say.
      await this.#fromPeers?.get(artifact, bytes === 0 ? { signal } : { bytes, signal });
      return this.#fromPeers !== undefined;
    } catch (error) {
      if (error instanceof TransferError) return false;
      throw error;
    }
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
