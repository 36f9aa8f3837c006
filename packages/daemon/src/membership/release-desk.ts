import {
  applyEvent,
  type Graph,
  initialRunState,
  type Result,
  type RunId,
  type RunLog,
  type RunPublished,
  type RunState,
  type Sequence,
  type StaleAppend,
  type TaskReleased,
} from '@podmesh/core';
import type { Mesh } from '@podmesh/jetstream';
import type { Logger } from 'pino';

export interface ReleaseDeskParts {
  readonly mesh: Pick<Mesh, 'serveReleases'>;
  readonly log: Pick<RunLog, 'append' | 'read'>;
  readonly loadGraph: (published: RunPublished) => Promise<Graph>;
  readonly logger: Logger;
}

/**
 * Writes releases for users, who may not write what tasks do. A release of what is not held would be a fact that no
 * reader of the run could take: the log is read first, once for all requests that it answers.
 */
export class ReleaseDesk {
  readonly #parts: ReleaseDeskParts;
  readonly #stop = new AbortController();
  #serving: Promise<void> | undefined;
  #known: { readonly run: RunId; readonly state: RunState } | undefined;

  constructor(parts: ReleaseDeskParts) {
    this.#parts = parts;
  }

  start(): void {
    const { mesh, logger } = this.#parts;
    this.#serving ??= mesh
      .serveReleases((event, expected) => this.release(event, expected), this.#stop.signal)
      .catch((error: unknown) => logger.warn({ err: error }, 'releases nothing for users'));
  }

  /** Harmless when never started, or twice. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#serving;
  }

  async release(event: TaskReleased, expected: Sequence): Promise<Result<Sequence, StaleAppend>> {
    const { log, logger } = this.#parts;
    if (!this.#isHeld(event, expected)) {
      this.#known = { run: event.run, state: await this.#read(event.run) };
      if (!this.#isHeld(event, expected)) return { ok: false, error: { kind: 'stale' } };
    }
    const { run, task, by } = event;
    logger.info({ run, task, by }, 'releases a task for a user');
    return log.append(event, expected);
  }

  #isHeld({ run, task }: TaskReleased, expected: Sequence): boolean {
    if (this.#known?.run !== run) return false;
    const { state } = this.#known;
    const number = state.index.numberOf(task);
    const now = number === undefined ? undefined : state.tasks[number];
    return now?.kind === 'held' && now.sequence === expected;
  }

  async #read(run: RunId): Promise<RunState> {
    const { log, loadGraph } = this.#parts;
    let state: RunState | undefined;
    for await (const batch of log.read(run, this.#stop.signal)) {
      for (const logged of batch) {
        if (logged.event.kind === 'run-published')
          state = initialRunState(await loadGraph(logged.event));
        if (state !== undefined) applyEvent(state, logged);
      }
    }
    if (state === undefined) throw new Error(`there is no run ${run} in the log`);
    return state;
  }
}
