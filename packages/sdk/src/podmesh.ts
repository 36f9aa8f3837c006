import { createHash } from 'node:crypto';
import { hostname, userInfo } from 'node:os';
import {
  type ArtifactId,
  type GraphProblem,
  initialRunState,
  type Logged,
  parseGraph,
  type RunCancelRequested,
  type RunId,
  type RunRecord,
  type RunState,
} from '@podmesh/core';
import type { Client } from './client.ts';
import { connectClient } from './connect-client.ts';
import { followRun } from './follow-run.ts';
import { loadRun, toRecord } from './load-run.ts';
import { newRunId, publishGraph } from './publish-graph.ts';
import { readSecrets, sealSecrets } from './publisher-secrets.ts';
import { readWhole } from './read-whole.ts';

/** The document is no graph; `problems` are all of them, each with its place and what to do. */
export class DocumentError extends Error {
  readonly problems: readonly GraphProblem[];

  constructor(problems: readonly GraphProblem[]) {
    const told = problems.map(({ path, problem, advice }) => `${path}: ${problem}. ${advice}`);
    super(told.join('\n'));
    this.name = 'DocumentError';
    this.problems = problems;
  }
}

/** Told of each fact of a run, in order, after it was folded into the state of the run. */
export type OnFact = (logged: Logged, state: RunState) => void | Promise<void>;

/** A mesh as a program sees it: publishes runs, follows them, reads what they leave. */
export class Podmesh {
  readonly client: Client;
  readonly #publisher: string;

  /** Over a client that is there; `publisher` is `user@host`, for people. */
  constructor(client: Client, publisher: string) {
    this.client = client;
    this.#publisher = publisher;
  }

  /** `url`: as in `daemon.json`, or `nats://[token@]host:port`. Throws a `PortError`, or a `TypeError` for what is no address. */
  static async connect(url: string): Promise<Podmesh> {
    return new Podmesh(await connectClient(url), `${userName()}@${hostname()}`);
  }

  /** Publishes a document whose inputs are all in the mesh (`jobs:…`, `sha256:…`). Throws `DocumentError`. */
  async publish(document: unknown): Promise<RunHandle> {
    const parsed = parseGraph(document, sha256);
    if (!parsed.ok) throw new DocumentError(parsed.error);
    const local = parsed.value.jobs.flatMap(({ id, inputs }) =>
      Object.entries(inputs)
        .filter(([, input]) => input.kind === 'file')
        .map(([name]) => `${id}/${name}`),
    );
    if (local.length > 0)
      throw new TypeError(`inputs are uploaded before a run is published: ${local.join(', ')}`);
    const here = { env: process.env, directory: process.cwd() };
    const secrets = await readSecrets(parsed.value, here);
    if (!secrets.ok) throw new DocumentError(secrets.error);
    const run = newRunId();
    await sealSecrets(this.client, run, secrets.value);
    const { published } = await publishGraph(this.client, parsed.value, this.#publisher, run);
    return new RunHandle(this.client, published.run, this.#publisher);
  }

  /** A run that somebody published. */
  run(run: RunId): RunHandle {
    return new RunHandle(this.client, run, this.#publisher);
  }

  /** All bytes of an artifact of moderate size. */
  read(artifact: ArtifactId): Promise<Buffer> {
    return readWhole(this.client, artifact);
  }

  /** Harmless when called twice. */
  close(): Promise<void> {
    return this.client.close();
  }
}

/** One run of a mesh. */
export class RunHandle {
  readonly id: RunId;
  readonly #client: Client;
  readonly #user: string;

  constructor(client: Client, id: RunId, user: string) {
    this.id = id;
    this.#client = client;
    this.#user = user;
  }

  /** As it is now. Throws `NoSuchRunError`. */
  async record(): Promise<RunRecord> {
    return toRecord(await loadRun(this.#client, this.id));
  }

  /**
   * Tells each fact, and resolves with the record at the end of the run, or when nothing happens before a person acts;
   * undefined when the signal aborted first.
   */
  async follow(onFact: OnFact, signal: AbortSignal): Promise<RunRecord | undefined> {
    const loaded = await loadRun(this.#client, this.id);
    if (loaded.kind === 'recorded') return loaded.record;
    // From the first fact, although it is folded already: whoever follows wants all of them.
    const start = {
      ...loaded,
      endedAt: undefined,
      state: initialRunState(publishedGraph(loaded.state)),
    };
    const listener = {
      start: () => undefined,
      stop: () => undefined,
      remark: () => undefined,
      fact: async (logged: Logged, state: RunState) => {
        await onFact(logged, state);
      },
    };
    const ended = await followRun(this.#client, start, listener, signal);
    return ended === undefined ? undefined : toRecord(ended);
  }

  /** Asks for its end; harmless when that was asked for, or it has ended. */
  async cancel(reason = ''): Promise<void> {
    const request: RunCancelRequested = {
      kind: 'run-cancel-requested',
      run: this.id,
      by: this.#user,
      reason,
    };
    await this.#client.runLog.append(request, 0);
  }
}

/** The jobs of the document: a state's own list has grown with its run. */
function publishedGraph({ graph, parents }: RunState): RunState['graph'] {
  return { ...graph, jobs: graph.jobs.filter((_, position) => !parents.has(position)) };
}

/** In a container the number of a user may have no name. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid-${process.getuid?.() ?? 'unknown'}`;
  }
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
