import { randomUUID } from 'node:crypto';
import { AckPolicy, type ConsumerConfig, DeliverPolicy } from '@nats-io/jetstream';
import { type Msg, nanos } from '@nats-io/transport-node';
import type { Sequence } from '@podmesh/core';
import { type Delivery, parseDelivery } from './delivery.ts';
import { type MeshConnection, monotonicMs } from './mesh-connection.ts';
import { MeshSilentError } from './mesh-errors.ts';
import { onAbort } from './on-abort.ts';
import { isAborted, jittered, pause } from './pause.ts';
import { portError } from './port-error.ts';
import { PullRequest } from './pull-request.ts';

export interface ReadOptions {
  readonly stream: string;
  readonly filters: readonly string[];
  /** Sequence after which to begin. */
  readonly after: Sequence;
  /** `end`: what is there now, then over. `signal`: on and on, until the signal aborts. */
  readonly until: 'end' | 'signal';
  /** Only the newest message of each subject; after a breakdown some may come again. */
  readonly lastPerSubject?: boolean;
  readonly headersOnly?: boolean;
  /** The stream is not synced: after a server's death its sequences may begin anew. */
  readonly volatile?: boolean;
  /** Overrides how long `end` reading may be without any progress, milliseconds. */
  readonly patienceMs?: number;
}

export interface StreamMessage {
  readonly message: Msg;
  readonly delivery: Delivery;
}

/** Messages of one pull, and of one yielded array. */
const PULL_MESSAGES = 4_000;
const PULL_BYTES = 16 * 1024 * 1024;
const YIELD_MESSAGES = 1_000;
/** An idle follower asks again this often; heartbeats in between tell a dead server within 5 s. */
const PULL_MS = 20_000;
/** The server forgets a reader that was killed after this long. */
const READER_IDLE_MS = 60_000;
const PATIENCE_MS = 90_000;
const RETRY_MS = 250;

/**
 * Reads a stream in order, without gaps or duplicates, through any number of server deaths: an
 * ephemeral consumer in memory, pulled by hand; whenever anything looks wrong (a gap in its
 * numbering, silence, a refusal) it is thrown away and a new one begins behind the last message
 * seen. The client's ordered consumer does the same but can stall for as long as a server is down
 * (NATS.md §4.3). At most one pull is buffered: a slow reader slows the server down.
 */
export async function* readStream(
  mesh: MeshConnection,
  options: ReadOptions,
  signal?: AbortSignal,
): AsyncGenerator<readonly StreamMessage[], void, undefined> {
  const patience = new Patience(options);
  const end = new StreamEnd(mesh, options);
  let last = options.after;
  while (!isAborted(signal)) {
    const reader = await openReader(mesh, options, last).catch((error: unknown) => {
      patience.failed(error);
      return undefined;
    });
    if (reader === undefined) {
      await pause(jittered(RETRY_MS), signal);
      continue;
    }
    if (reader.restarted) last = 0;
    let complete = reader.pending === 0 && options.until === 'end';
    const look = end.look();
    look.catch(() => undefined);
    try {
      if (!complete) {
        const session = pulled(mesh, options, reader.name, signal);
        for (let step = await session.next(); ; step = await session.next()) {
          if (step.done === true) {
            complete = step.value === 'complete';
            break;
          }
          const newest = step.value.at(-1)?.delivery.streamSequence ?? last;
          // What comes again after a breakdown is no progress.
          if (newest > last) patience.progressed();
          last = Math.max(last, newest);
          yield step.value;
        }
      }
    } finally {
      forget(mesh, options.stream, reader.name);
    }
    if (isAborted(signal)) return;
    let failure: unknown;
    if (complete) {
      try {
        await look;
        if (await end.isAt(last)) return;
      } catch (error) {
        failure = error;
      }
    }
    patience.failed(failure);
    await pause(jittered(RETRY_MS), signal);
  }
}

/**
 * What a reader "to the end" has to have seen. The reader itself may be on a replica that has not caught up, and that
 * finds its end before the stream's; only the leader's word counts.
 */
class StreamEnd {
  readonly #mesh: MeshConnection;
  readonly #options: ReadOptions;
  #sequence: Sequence | undefined;

  constructor(mesh: MeshConnection, options: ReadOptions) {
    this.#mesh = mesh;
    this.#options = options;
  }

  /** Asks once; later messages are for later readers. */
  async look(): Promise<void> {
    const { until, volatile } = this.#options;
    // A stream with one copy has nobody to lag behind.
    if (until === 'end' && volatile !== true) this.#sequence ??= await this.#ask();
  }

  async isAt(seen: Sequence): Promise<boolean> {
    if (this.#sequence === undefined || seen >= this.#sequence) return true;
    // What was to be seen may have been removed meanwhile.
    this.#sequence = await this.#ask();
    return seen >= this.#sequence;
  }

  async #ask(): Promise<Sequence> {
    const { stream, filters } = this.#options;
    const newest = await Promise.all(
      filters.map((filter) => this.#mesh.jsm.streams.getMessage(stream, { last_by_subj: filter })),
    );
    return Math.max(0, ...newest.map((message) => message?.seq ?? 0));
  }
}

/** Pulls from one consumer until it is exhausted (`complete`), or anything is wrong (`again`). */
async function* pulled(
  mesh: MeshConnection,
  options: ReadOptions,
  consumer: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<readonly StreamMessage[], 'complete' | 'again', undefined> {
  const toEnd = options.until === 'end';
  let expected = 1;
  while (!isAborted(signal)) {
    const pull = new PullRequest(mesh, {
      stream: options.stream,
      consumer,
      batch: PULL_MESSAGES,
      bytesMax: PULL_BYTES,
      expiresMs: toEnd ? 0 : PULL_MS,
    });
    const ignoreAbort = onAbort(signal, () => pull.stop());
    let received = 0;
    try {
      for (;;) {
        await pull.ready();
        const messages = pull.take(YIELD_MESSAGES);
        if (messages.length === 0 && pull.end !== undefined) break;
        const batch = inOrder(messages, expected);
        expected += batch.length;
        received += batch.length;
        if (batch.length > 0) yield batch;
        if (isAborted(signal)) return 'complete';
        if (toEnd && batch.at(-1)?.delivery.pending === 0) return 'complete';
        if (batch.length < messages.length) return 'again';
      }
    } finally {
      ignoreAbort();
      pull.stop();
    }
    if (pull.end === 'missing' || pull.end === 'broken') return 'again';
    if (toEnd && received === 0) return 'complete';
  }
  return 'complete';
}

/** The messages up to the first gap in the consumer's own numbering. */
function inOrder(messages: readonly Msg[], first: number): readonly StreamMessage[] {
  const batch: StreamMessage[] = [];
  for (const message of messages) {
    const delivery = parseDelivery(message.reply ?? '');
    if (delivery.consumerSequence !== first + batch.length) break;
    batch.push({ message, delivery });
  }
  return batch;
}

interface Reader {
  readonly name: string;
  readonly pending: number;
  readonly restarted: boolean;
}

async function openReader(
  mesh: MeshConnection,
  options: ReadOptions,
  after: Sequence,
): Promise<Reader> {
  await mesh.untilConnected(RETRY_MS);
  const restarted =
    options.volatile === true &&
    after > 0 &&
    (await mesh.jsm.streams.info(options.stream)).state.last_seq < after;
  const [only] = options.filters;
  const config: Partial<ConsumerConfig> = {
    name: `reader-${randomUUID()}`,
    ack_policy: AckPolicy.None,
    mem_storage: true,
    num_replicas: 1,
    inactive_threshold: nanos(READER_IDLE_MS),
    ...(options.headersOnly === true ? { headers_only: true } : {}),
    ...(options.filters.length === 1 && only !== undefined
      ? { filter_subject: only }
      : { filter_subjects: [...options.filters] }),
    ...(options.lastPerSubject === true
      ? { deliver_policy: DeliverPolicy.LastPerSubject }
      : { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: restarted ? 1 : after + 1 }),
  };
  const created = await mesh.jsm.consumers.add(options.stream, config);
  return { name: created.name, pending: created.num_pending, restarted };
}

/** Best effort: the server forgets an idle reader by itself. */
function forget(mesh: MeshConnection, stream: string, consumer: string): void {
  if (mesh.isConnected && !mesh.isClosed)
    void mesh.jsm.consumers.delete(stream, consumer).catch(() => undefined);
}

/** Followers try for ever; who reads to the end gets an error when nothing moves for too long. */
class Patience {
  readonly #options: ReadOptions;
  readonly #patienceMs: number;
  #since = monotonicMs();

  constructor(options: ReadOptions) {
    this.#options = options;
    this.#patienceMs = options.patienceMs ?? PATIENCE_MS;
  }

  progressed(): void {
    this.#since = monotonicMs();
  }

  /** Throws when it is not worth, or not allowed, to try again. */
  failed(cause: unknown): void {
    const what = `read ${this.#options.stream}`;
    const error = cause === undefined ? new MeshSilentError(what) : portError(what, cause);
    if (!error.retryable) throw error;
    if (this.#options.until === 'end' && monotonicMs() - this.#since > this.#patienceMs)
      throw error;
  }
}
