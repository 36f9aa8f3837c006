import {
  type Capacity,
  lineOf,
  type PeerDirectory,
  type PeerEntry,
  type PeerId,
  type RunState,
  type TaskId,
} from '@podmesh/core';
import type { RunFeeds } from './run-feeds.ts';
import { type SpawnLeft, spawnLeft } from './spawn-left.ts';
import { json, type TaskApiAnswer, type TaskApiCall, type TaskApiRoute } from './task-api-call.ts';
import { TaskApiError } from './task-api-error.ts';
import { CAPACITY_AGE_MS_MAX } from './task-api-limits.ts';

export interface AboutRouteParts {
  readonly peer: PeerId;
  readonly peers: Pick<PeerDirectory, 'list'>;
}

interface Lineage {
  /** Who spawned it, who spawned that, and so on; empty of a task of the document. */
  readonly parents: readonly TaskId[];
  readonly spawn: SpawnLeft;
}

/** Who asks, and how much of the mesh is free. */
export class AboutRoutes {
  readonly routes: readonly TaskApiRoute[];
  readonly #parts: AboutRouteParts;
  readonly #feeds: RunFeeds;
  #seen: { readonly atMs: number; readonly peers: Promise<readonly PeerEntry[]> } | undefined;

  constructor(parts: AboutRouteParts, feeds: RunFeeds) {
    this.#parts = parts;
    this.#feeds = feeds;
    this.routes = [
      { method: 'GET', path: '/v1/me', answer: (call) => this.#me(call) },
      { method: 'GET', path: '/v1/capacity', answer: () => this.#capacity() },
    ];
  }

  async #me({ task, signal }: TaskApiCall): Promise<TaskApiAnswer> {
    const { run, task: id, attempt, requirements, timeoutMs, net } = task.offer;
    const { cpus, memoryBytes } = requirements;
    const { peer } = this.#parts;
    const me = { run, task: id, attempt, peer, net, timeoutMs, needs: { cpus, memoryBytes } };
    const lineage = await this.#feeds.with(run, (feed) =>
      feed.find((state) => lineageOf(state, id), signal, task.startedSequence),
    );
    if (lineage === undefined) throw new TaskApiError('attempt-over', 'this attempt is over');
    return json({ ...me, ...lineage });
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

function lineageOf(state: RunState, task: TaskId): Lineage {
  const number = state.index.numberOf(task);
  if (number === undefined) throw new TaskApiError('internal', `the run has no task ${task}`);
  const [, ...above] = lineOf(state, number);
  return {
    parents: above.map((one) => state.index.idOf(one)),
    spawn: spawnLeft(state, number),
  };
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
