import { Worker } from 'node:worker_threads';
import {
  type ClaimTicket,
  LEASE_EXTEND_MS,
  LEASE_GIVE_UP_MS,
  type Lease,
  type LeaseKeeper,
} from '@podmesh/core';
import { plainOptions } from './connect-mesh.ts';
import type { MeshConnection } from './mesh-connection.ts';

export interface LeaseKeeperOptions {
  /** Overrides `LEASE_EXTEND_MS`; tests shorten it. */
  readonly extendMs?: number;
  /** Overrides `LEASE_GIVE_UP_MS`; tests shorten it. */
  readonly giveUpMs?: number;
  /** Name of the thread's own connection. */
  readonly name?: string;
}

/** The same relative path holds in `src` and in `dist`; see the file for why it is JavaScript. */
const WORKER = new URL('./lease-worker.js', import.meta.url);
const STOP_MS = 2_000;

/**
 * Extends claims from a thread with its own connection, so that nothing the main thread does can let
 * them lapse. A worker that dies is as bad as a lost connection: every claim it kept is reported lost.
 */
export class ThreadedLeaseKeeper implements LeaseKeeper {
  readonly #mesh: MeshConnection;
  readonly #options: LeaseKeeperOptions;
  readonly #onLost = new Map<number, () => void>();
  #worker: Worker | undefined;
  #lastId = 0;
  #released: number[] = [];

  constructor(mesh: MeshConnection, options: LeaseKeeperOptions = {}) {
    this.#mesh = mesh;
    this.#options = options;
  }

  /** Starts the thread; `keep` needs it. Harmless when called twice. */
  start(): void {
    if (this.#worker !== undefined) return;
    const { extendMs, giveUpMs, name } = this.#options;
    const worker = new Worker(WORKER, {
      name: 'podmesh-leases',
      execArgv: [],
      workerData: {
        connection: plainOptions(this.#mesh.address, name ?? 'podmesh-leases'),
        credentials: this.#mesh.address.member?.credentials,
        extendMs: extendMs ?? LEASE_EXTEND_MS,
        giveUpMs: giveUpMs ?? LEASE_GIVE_UP_MS,
      },
    });
    worker.on('message', ({ id }: { kind: 'lost'; id: number }) => this.#lost(id));
    worker.on('error', () => this.#died(worker));
    worker.on('exit', () => this.#died(worker));
    this.#worker = worker;
  }

  /** Forgets all claims and ends the thread. Harmless when never started, or called twice. */
  async stop(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    this.#onLost.clear();
    if (worker === undefined) return;
    const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
    worker.postMessage({ kind: 'stop' });
    const late = setTimeout(() => void worker.terminate(), STOP_MS);
    await ended;
    clearTimeout(late);
  }

  keep(ticket: ClaimTicket, onLost: () => void): Lease {
    this.start();
    const id = ++this.#lastId;
    this.#onLost.set(id, onLost);
    // At once: the caller may block this thread in the same breath.
    this.#worker?.postMessage({ kind: 'keep', id, ticket });
    return {
      release: () => {
        if (this.#onLost.delete(id)) this.#release(id);
      },
    };
  }

  /** Releases have time: those of one turn travel together, a message to a thread is not cheap. */
  #release(id: number): void {
    this.#released.push(id);
    if (this.#released.length > 1) return;
    setImmediate(() => {
      this.#worker?.postMessage({ kind: 'release', ids: this.#released });
      this.#released = [];
    });
  }

  #lost(id: number): void {
    const onLost = this.#onLost.get(id);
    this.#onLost.delete(id);
    onLost?.();
  }

  #died(worker: Worker): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    for (const id of [...this.#onLost.keys()]) this.#lost(id);
  }
}
