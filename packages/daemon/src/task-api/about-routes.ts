import type { Capacity, PeerDirectory, PeerEntry, PeerId } from '@podmesh/core';
import { json, type TaskApiAnswer, type TaskApiCall, type TaskApiRoute } from './task-api-call.ts';
import { CAPACITY_AGE_MS_MAX } from './task-api-limits.ts';

export interface AboutRouteParts {
  readonly peer: PeerId;
  readonly peers: Pick<PeerDirectory, 'list'>;
}

/** Who asks, and how much of the mesh is free. */
export class AboutRoutes {
  readonly routes: readonly TaskApiRoute[];
  readonly #parts: AboutRouteParts;
  #seen: { readonly atMs: number; readonly peers: Promise<readonly PeerEntry[]> } | undefined;

  constructor(parts: AboutRouteParts) {
    this.#parts = parts;
    this.routes = [
      { method: 'GET', path: '/v1/me', answer: (call) => this.#me(call) },
      { method: 'GET', path: '/v1/capacity', answer: () => this.#capacity() },
    ];
  }

  async #me({ task }: TaskApiCall): Promise<TaskApiAnswer> {
    const { run, task: id, attempt, requirements, timeoutMs, net } = task.offer;
    const { cpus, memoryBytes } = requirements;
    const { peer } = this.#parts;
    return json({ run, task: id, attempt, peer, net, timeoutMs, needs: { cpus, memoryBytes } });
  }

  async #capacity(): Promise<TaskApiAnswer> {
    const peers = (await this.#list()).filter(({ paused }) => paused === undefined);
    return json({
      peers: peers.length,
      capacity: sum(peers.map(({ capacity }) => capacity)),
      free: sum(peers.map(({ free }) => free)),
    });
  }

  /** One look at the directory for all who ask within a second. */
  #list(): Promise<readonly PeerEntry[]> {
    const nowMs = performance.now();
    if (this.#seen === undefined || nowMs - this.#seen.atMs > CAPACITY_AGE_MS_MAX) {
      const peers = this.#parts.peers.list();
      const seen = { atMs: nowMs, peers };
      this.#seen = seen;
      peers.catch(() => {
        if (this.#seen === seen) this.#seen = undefined;
      });
    }
    return this.#seen.peers;
  }
}

/** A peer whose tasks took their cores back has less than nothing free for a moment. */
function sum(all: readonly Capacity[]): Capacity {
  const of = (member: keyof Capacity): number =>
    all.reduce((total, one) => total + Math.max(0, one[member]), 0);
  return {
    cpus: of('cpus'),
    memoryBytes: of('memoryBytes'),
    diskBytes: of('diskBytes'),
    gpus: of('gpus'),
  };
}
