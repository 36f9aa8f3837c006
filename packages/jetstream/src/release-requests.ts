import { type Msg, nuid } from '@nats-io/transport-node';
import {
  type Result,
  type Sequence,
  type StaleAppend,
  type TaskReleased,
  taskId,
} from '@podmesh/core';
import { decodeJson, encodeJson } from './json-codec.ts';
import type { MeshConnection } from './mesh-connection.ts';
import { MeshSilentError } from './mesh-errors.ts';
import { onAbort } from './on-abort.ts';
import { asking } from './port-error.ts';
import {
  askerOfInbox,
  inboxSubject,
  RELEASE_REQUESTS,
  releaseRequestSubject,
  runOfReleaseRequest,
} from './subjects.ts';

/** What became of a request to release a held task. */
type Released = Result<Sequence, StaleAppend>;

/** Writes the fact, if the task is still held at that sequence. */
export type ReleaseTask = (event: TaskReleased, expected: Sequence) => Promise<Released>;

/** Whoever answers may have to read the whole run first. */
const ANSWER_MS = 30_000;
const BY_CHARACTERS_MAX = 256;
/** Peers share the requests: one of them answers. */
const QUEUE = 'release';

/**
 * Users may not write what tasks do; a release is the one fact of a task that is theirs. They ask for it, and a peer
 * writes it, after it has seen that the task is held.
 */
export class ReleaseRequests {
  readonly #mesh: MeshConnection;

  constructor(mesh: MeshConnection) {
    this.#mesh = mesh;
  }

  async ask({ run, task, by }: TaskReleased, expected: Sequence): Promise<Released> {
    const what = `release ${task} of ${run}`;
    const options = {
      timeoutMs: ANSWER_MS,
      reply: inboxSubject(this.#mesh.member, nuid.next(), 0),
    };
    const payload = encodeJson({ task, by, expected });
    const subject = releaseRequestSubject(run);
    const { data } = await asking(what, () => this.#mesh.request(subject, payload, options));
    const said = decodeJson<{ sequence?: number; stale?: boolean }>(data, subject);
    if (said.stale === true) return { ok: false, error: { kind: 'stale' } };
    if (typeof said.sequence === 'number') return { ok: true, value: said.sequence };
    throw new MeshSilentError(`${what}: the peer that was asked could not do it`);
  }

  /** Answers until the signal aborts; one after the other, in the order in which they come. */
  async serve(release: ReleaseTask, signal: AbortSignal): Promise<void> {
    const requests = this.#mesh.nc.subscribe(RELEASE_REQUESTS, { queue: QUEUE });
    const ignoreAbort = onAbort(signal, () => requests.unsubscribe());
    try {
      if (signal.aborted) return;
      for await (const request of requests) await this.#answer(request, release);
    } finally {
      ignoreAbort();
      requests.unsubscribe();
    }
  }

  /** What is no request, or wants its answer where no asker can be, is dropped. */
  async #answer(request: Msg, release: ReleaseTask): Promise<void> {
    if (askerOfInbox(request.reply) === undefined) return;
    const wish = readWish(request);
    if (wish === undefined) return;
    const answer = await release(wish.event, wish.expected).then(
      (result) => (result.ok ? { sequence: result.value } : { stale: true }),
      () => ({}),
    );
    if (this.#mesh.isConnected && !this.#mesh.isClosed) request.respond(encodeJson(answer));
  }
}

interface Wish {
  readonly event: TaskReleased;
  readonly expected: Sequence;
}

function readWish({ subject, data }: Msg): Wish | undefined {
  try {
    const run = runOfReleaseRequest(subject);
    const said = decodeJson<Partial<Record<string, unknown>>>(data, subject);
    const { expected, by } = said;
    if (typeof expected !== 'number' || !Number.isSafeInteger(expected)) return undefined;
    if (typeof by !== 'string' || by.length > BY_CHARACTERS_MAX) return undefined;
    const task = taskId(String(said.task));
    return { event: { kind: 'task-released', run, task, by }, expected };
  } catch {
    return undefined;
  }
}
