import { uptime } from 'node:os';
import { Worker } from 'node:worker_threads';
import {
  type ClaimTicket,
  LEASE_EXTEND_MS,
  LEASE_GIVE_UP_MS,
  type Lease,
  type LeaseKeeper,
} from '@podmesh/core';
import { ChangingMember } from './changing-member.ts';
import { plainOptions } from './connect-mesh.ts';
import { LeaseTable } from './lease-table.js';
import type { MeshConnection } from './mesh-connection.ts';

export interface LeaseKeeperOptions {
  /** Overrides `LEASE_EXTEND_MS`; tests shorten it. */
  readonly extendMs?: number;
  /** Overrides `LEASE_GIVE_UP_MS`; tests shorten it. */
  readonly giveUpMs?: number;
  /** Name of the thread's own connection. */
  readonly name?: string;
}

/** What became of extensions since the start. */
export interface LeaseCounts {
  readonly confirmed: number;
  /** No answer in time, or no connection: the next turn comes soon. */
  readonly unanswered: number;
  /** Claims that were given up for that. */
  readonly lost: number;
}

/** The places of `LeaseCounts` in the memory that is shared with the thread; the file of the thread has the same. */
const CONFIRMED = 0;
const UNANSWERED = 1;
const LOST = 2;

/** The same relative path holds in `src` and in `dist`; see the file for why it is JavaScript. */
const WORKER = new URL('./lease-worker.js', import.meta.url);
const STOP_MS = 2_000;
const ID_MAX = 2 ** 31 - 1;

/**
 * Extends claims from a thread with its own connection, so that nothing the main thread does can let
 * them lapse. A worker that dies is as bad as a lost connection: every claim it kept is reported lost.
 */
export class ThreadedLeaseKeeper implements LeaseKeeper {
  readonly #mesh: MeshConnection;
  readonly #options: LeaseKeeperOptions;
  /** Counted by the thread: nothing has to be sent for it. */
  readonly #counts = new Int32Array(new SharedArrayBuffer(3 * Int32Array.BYTES_PER_ELEMENT));
  readonly #table = LeaseTable.create();
  readonly #kept = new Map<number, { readonly slot: number; readonly onLost: () => void }>();
  #worker: Worker | undefined;
  #lastId = 0;
  #forget: () => void = () => undefined;

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
        counts: this.#counts,
        table: this.#table.memory,
      },
    });
    worker.on('message', ({ id }: { kind: 'lost'; id: number }) => this.#lost(id));
    worker.on('error', () => this.#died(worker));
    worker.on('exit', () => this.#died(worker));
    const { member } = this.#mesh.address;
    const forgets = [
      this.#mesh.onServers((servers) => worker.postMessage({ kind: 'servers', servers })),
      member instanceof ChangingMember
        ? member.onChange(({ credentials }) =>
            worker.postMessage({ kind: 'credentials', credentials }),
          )
        : () => undefined,
    ];
    this.#forget = () => {
      for (const forget of forgets) forget();
    };
    this.#worker = worker;
    worker.postMessage({ kind: 'look' });
  }

  counts(): LeaseCounts {
    const count = (place: number): number => Atomics.load(this.#counts, place) >>> 0;
    return { confirmed: count(CONFIRMED), unanswered: count(UNANSWERED), lost: count(LOST) };
  }

  /** Forgets all claims and ends the thread. Harmless when never started, or called twice. */
  async stop(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    this.#forget();
    for (const id of [...this.#kept.keys()]) this.#take(id);
    if (worker === undefined) return;
    const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
    worker.postMessage({ kind: 'stop' });
    const late = setTimeout(() => void worker.terminate(), STOP_MS);
    await ended;
    clearTimeout(late);
  }

  /** Throws a `RangeError` beyond 8,192 claims at the same time. */
  keep(ticket: ClaimTicket, onLost: () => void): Lease {
    this.start();
    const id = this.#newId();
    const slot = this.#table.put({ id, ticket, atMs: uptime() * 1000 });
    this.#kept.set(id, { slot, onLost });
    // At once: the caller may block this thread in the same breath.
    if (this.#table.wakes()) this.#worker?.postMessage({ kind: 'look' });
    return { release: () => void this.#take(id) };
  }

  /** Of 32 bits, as the table has them; by the time that one comes again nobody remembers it. */
  #newId(): number {
    this.#lastId = (this.#lastId % ID_MAX) + 1;
    return this.#lastId;
  }

  #take(id: number): (() => void) | undefined {
    const kept = this.#kept.get(id);
    if (kept === undefined) return undefined;
    this.#kept.delete(id);
    this.#table.clear(kept.slot);
    return kept.onLost;
  }

  #lost(id: number): void {
    this.#take(id)?.();
  }

  #died(worker: Worker): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    this.#forget();
    for (const id of [...this.#kept.keys()]) this.#lost(id);
  }
}
