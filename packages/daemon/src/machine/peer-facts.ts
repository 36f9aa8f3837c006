import { statfs } from 'node:fs/promises';
import type { Capacity, Clock, ContainerRuntime, RuntimeDescription } from '@podmesh/core';
import type { PeerFacts } from '../peer.ts';
import type { MachineFacts } from './hardware.ts';

/** Runtime, images and disk are looked at this often. */
const REFRESH_MS = 5_000;
/** Below this much free disk the peer claims nothing: a full disk hurts its owner first. */
export const FREE_DISK_BYTES_MIN = 512 * 2 ** 20;
/** Images told to the mesh; a machine may hold thousands. */
const IMAGES_TOLD_MAX = 200;

export interface PeerFactsParts {
  readonly facts: MachineFacts;
  readonly runtime: ContainerRuntime;
  readonly clock: Clock;
  readonly capacity: Capacity;
  readonly labels: readonly string[];
  readonly version: string;
  /** The folder whose file system counts as this peer's disk. */
  readonly disk: string;
  /** Called when something changed that decides over claiming. */
  readonly onChange: () => void;
}

/** Keeps what a peer tells of itself up to date, and decides whether it claims at all. */
export class PeerFactsSource {
  readonly #parts: PeerFactsParts;
  readonly #stop = new AbortController();
  #loop: Promise<void> = Promise.resolve();
  #runtime: RuntimeDescription | undefined;
  #images: Readonly<Record<string, readonly string[]>> = {};
  #paused: string | undefined = 'starting';

  constructor(parts: PeerFactsParts) {
    this.#parts = parts;
  }

  async start(): Promise<void> {
    await this.#refresh();
    this.#loop = this.#keepRefreshing();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }

  current(): PeerFacts {
    const { facts, capacity, labels, version } = this.#parts;
    return {
      version,
      machine: { ...facts.machine, podmanVersion: this.#runtime?.version ?? 'unknown' },
      hardware: facts.hardware,
      labels,
      capacity,
      images: this.#images,
      limits: this.#runtime?.limits ?? 'unenforced',
      ...(this.#paused === undefined ? {} : { paused: this.#paused }),
    };
  }

  async #keepRefreshing(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await this.#parts.clock.sleep(REFRESH_MS, this.#stop.signal);
      if (!this.#stop.signal.aborted) await this.#refresh();
    }
  }

  async #refresh(): Promise<void> {
    const before = this.#paused;
    try {
      this.#runtime = await this.#parts.runtime.describe();
      this.#images = tell(await this.#parts.runtime.images());
      this.#paused = await this.#diskProblem();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#paused = `cannot run containers: ${reason}`;
    }
    if (this.#paused !== before) this.#parts.onChange();
  }

  async #diskProblem(): Promise<string | undefined> {
    const { bavail, bsize } = await statfs(this.#parts.disk);
    const freeBytes = bavail * bsize;
    if (freeBytes >= FREE_DISK_BYTES_MIN) return undefined;
    const mebibytes = Math.floor(freeBytes / 2 ** 20);
    return `only ${mebibytes} MiB of disk are free at ${this.#parts.disk}; make room there`;
  }
}

function tell(images: ReadonlyMap<string, readonly string[]>): Record<string, readonly string[]> {
  const named = [...images].filter(([, references]) => references.length > 0);
  return Object.fromEntries(named.slice(0, IMAGES_TOLD_MAX));
}
