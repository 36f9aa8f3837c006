import {
  type ArtifactId,
  type Clock,
  type ImageTags,
  MANIFEST_BYTES_MAX,
  type PeerId,
  type PinReason,
  parseManifest,
  partsOf,
} from '@podmesh/core';
import type { Logger } from 'pino';
import type { DiskStore } from '../store/disk-store.ts';
import { TAG_PINS_MS } from './image-limits.ts';

const IMAGE: PinReason = { kind: 'image' };
/** An index names images; nothing deeper is an image that Podman runs. */
const DEPTH_MAX = 2;

export interface TagPinsParts {
  readonly peer: PeerId;
  readonly tags: ImageTags;
  readonly store: DiskStore;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What a tag means stays on the disk of the peer that it was pushed to, until the tag means something else. */
export class TagPins {
  readonly #parts: TagPinsParts;
  readonly #stop = new AbortController();
  /** Of manifests that were read: they never change. */
  readonly #known = new Map<ArtifactId, readonly ArtifactId[]>();
  #held: ReadonlySet<ArtifactId> = new Set();
  #turn: Promise<void> = Promise.resolve();
  #loop: Promise<void> = Promise.resolve();

  constructor(parts: TagPinsParts) {
    this.#parts = parts;
  }

  /** Never throws: what cannot be read now is read a minute later, and pinned is what was. */
  async start(): Promise<void> {
    await this.refresh();
    this.#loop = this.#keep();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all([this.#loop, this.#turn]);
  }

  /** Resolves when what tags mean at this moment is pinned. Never throws. */
  refresh(): Promise<void> {
    const done = this.#turn.then(() => this.#refresh());
    this.#turn = done;
    return done;
  }

  async #keep(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await this.#parts.clock.sleep(TAG_PINS_MS, signal);
      if (!signal.aborted) await this.refresh();
    }
  }

  async #refresh(): Promise<void> {
    const { peer, tags, store, logger } = this.#parts;
    try {
      const all = await tags.list();
      const ours = new Set(
        all.filter(({ record }) => record.by === peer).map(({ record }) => record.digest),
      );
      const held = new Set<ArtifactId>();
      for (const digest of ours) await this.#addParts(digest, held, DEPTH_MAX);
      for (const digest of this.#known.keys()) if (!held.has(digest)) this.#known.delete(digest);
      store.pins.pinSet(held, IMAGE);
      store.pins.unpinSet(this.#held);
      this.#held = held;
    } catch (error) {
      logger.warn({ err: error }, 'cannot read what tags mean; images stay pinned as they were');
    }
  }

  async #addParts(digest: ArtifactId, held: Set<ArtifactId>, depth: number): Promise<void> {
    if (held.has(digest)) return;
    held.add(digest);
    for (const part of await this.#partsOf(digest)) {
      if (depth > 1) await this.#addParts(part, held, depth - 1);
      else held.add(part);
    }
  }

  /** Of a manifest that is here; of anything else there is nothing to hold but itself. */
  async #partsOf(digest: ArtifactId): Promise<readonly ArtifactId[]> {
    const known = this.#known.get(digest);
    if (known !== undefined) return known;
    const { store } = this.#parts;
    const bytes = store.index.whole(digest)?.bytes;
    if (bytes === undefined || bytes > MANIFEST_BYTES_MAX) return [];
    const pieces: Uint8Array[] = [];
    for await (const piece of store.read(digest)) pieces.push(piece);
    const parsed = parseManifest(Buffer.concat(pieces).toString('utf8'), undefined);
    if (!parsed.ok) return [];
    const found = [...partsOf(parsed.value), ...parsed.value.manifests].map((part) => part.digest);
    this.#known.set(digest, found);
    return found;
  }
}
