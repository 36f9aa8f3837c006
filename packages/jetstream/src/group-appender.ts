import { randomUUID } from 'node:crypto';
import { headers, type Msg, type MsgHdrs } from '@nats-io/transport-node';
import { ok, type Result, refused, type Sequence, type StaleAppend } from '@podmesh/core';
import { type MeshConnection, monotonicMs } from './mesh-connection.ts';
import { MeshAnswerError, MeshSilentError, MessageTooLargeError } from './mesh-errors.ts';
import { jittered, pause } from './pause.ts';
import { isPassing, portError } from './port-error.ts';

export interface Append {
  readonly subject: string;
  readonly payload: Uint8Array;
  /** Last sequence of the subject that the writer has seen; absent: no fence, a repetition is harmless. */
  readonly expected?: Sequence;
  /** Further headers; they are not part of the content by which an append is recognised. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface GroupAppenderOptions {
  /** How long an append is tried through outages before it fails. */
  readonly patienceMs?: number;
  /** How long one answer is waited for. */
  readonly answerMs?: number;
}

interface Waiting {
  readonly append: Append;
  readonly bytes: number;
  readonly deadline: number;
  readonly settle: (result: Result<Sequence, StaleAppend>) => void;
  readonly fail: (error: Error) => void;
}

/** What became of one request: `silent` means that nobody knows whether it landed. */
type Outcome =
  | { readonly kind: 'stored'; readonly sequence: Sequence }
  | { readonly kind: 'stale' }
  | { readonly kind: 'silent'; readonly cause: unknown }
  | { readonly kind: 'failed'; readonly error: Error };

/** The server takes 1000 (NATS.md §2.4); half of it keeps one batch's latency low. */
const GROUP_MESSAGES_MAX = 500;
const GROUP_BYTES_MAX = 512 * 1024;
/** Survives a server that is gone for 60 s, and its election. */
const PATIENCE_MS = 90_000;
const ANSWER_MS = 2_500;
const RETRY_MS = 250;
/** Headers of our own making (expectation, batch id, its sequence) stay below this. */
const HEADER_BYTES = 256;
/** Guesses until measured: one append alone among pipelined ones, and what a batch costs whatever its size. */
const SINGLE_MS_FIRST = 0.25;
const BATCH_MS_FIRST = 4;
/** An outlier must not keep us from one of the two ways. */
const BATCH_MS_MAX = 50;
const WRONG_LAST_SEQUENCE: ReadonlySet<number> = new Set([10071, 10164]);

/**
 * Appends to one stream by group commit: while one group is on its way, what comes in meanwhile waits
 * and goes out as the next one. A large group is one atomic batch, so that many appends share one sync
 * of the server's disk (NATS.md §9). A batch costs the server some 3 ms whatever its size, so small
 * groups go as pipelined single appends; where the border lies is measured as we go. Each append keeps its own expectation; when a batch is refused, its members are
 * tried one by one. An answer that got lost is found again: the append is repeated with the same
 * expectation, and if the refusal shows our own bytes as the subject's last message, it had landed.
 *
 * Batches are written by hand (ADR-50): the client's `batch.add` drops expectations, and its commit
 * hides the server's error code (NATS.md §2.4). Only the committing message asks for an answer.
 */
export class GroupAppender {
  readonly #mesh: MeshConnection;
  readonly #stream: string;
  readonly #patienceMs: number;
  readonly #answerMs: number;
  #queue: Waiting[] = [];
  #running = false;
  #singleMs = SINGLE_MS_FIRST;
  #batchMs = BATCH_MS_FIRST;

  constructor(mesh: MeshConnection, stream: string, options: GroupAppenderOptions = {}) {
    this.#mesh = mesh;
    this.#stream = stream;
    this.#patienceMs = options.patienceMs ?? PATIENCE_MS;
    this.#answerMs = options.answerMs ?? ANSWER_MS;
  }

  /** Resolves once durable, or refused. Throws `MessageTooLargeError`, or `MeshSilentError` after the patience. */
  append(append: Append): Promise<Result<Sequence, StaleAppend>> {
    const extra = Object.entries(append.headers ?? {}).join().length;
    const bytes = append.payload.length + HEADER_BYTES + extra;
    if (bytes > this.#mesh.messageBytesMax)
      return Promise.reject(
        new MessageTooLargeError(append.subject, bytes, this.#mesh.messageBytesMax),
      );
    return new Promise((settle, fail) => {
      const deadline = monotonicMs() + this.#patienceMs;
      this.#queue.push({ append, bytes, deadline, settle, fail });
      if (this.#running) return;
      this.#running = true;
      // After the current turn of the event loop: whatever it appends travels together.
      setImmediate(() => void this.#run());
    });
  }

  async #run(): Promise<void> {
    while (this.#queue.length > 0) {
      const again = await this.#send(this.#nextGroup());
      if (again.length > 0) await this.#retryLater(again);
    }
    this.#running = false;
  }

  /** The next ones in order, never two of one subject: the later expects what the earlier brings about. */
  #nextGroup(): readonly Waiting[] {
    const group: Waiting[] = [];
    const rest: Waiting[] = [];
    const subjects = new Set<string>();
    let bytes = 0;
    for (const waiting of this.#queue) {
      const full =
        group.length >= GROUP_MESSAGES_MAX ||
        (group.length > 0 && bytes + waiting.bytes > GROUP_BYTES_MAX);
      if (full || subjects.has(waiting.append.subject)) {
        rest.push(waiting);
        subjects.add(waiting.append.subject);
        continue;
      }
      group.push(waiting);
      subjects.add(waiting.append.subject);
      bytes += waiting.bytes;
    }
    this.#queue = rest;
    return group;
  }

  /** Sends and settles; returns those whose fate is unknown. */
  async #send(group: readonly Waiting[]): Promise<readonly Waiting[]> {
    const began = monotonicMs();
    if (group.length * this.#singleMs <= this.#batchMs) {
      const unknown = await this.#sendEach(group);
      const eachMs = (monotonicMs() - began) / group.length;
      if (unknown.length === 0) this.#singleMs = blend(this.#singleMs, eachMs);
      return unknown;
    }
    const outcome = await this.#publishBatch(group);
    if (outcome.kind === 'silent') return group;
    if (outcome.kind !== 'stored') return this.#sendEach(group);
    this.#batchMs = Math.min(BATCH_MS_MAX, blend(this.#batchMs, monotonicMs() - began));
    const before = outcome.sequence - group.length;
    for (const [i, member] of group.entries()) member.settle(ok(before + i + 1));
    return [];
  }

  async #sendEach(group: readonly Waiting[]): Promise<readonly Waiting[]> {
    const unknown = await Promise.all(
      group.map(async (one) => this.#settle(one, await this.#publish(one.append))),
    );
    return unknown.flat();
  }

  async #settle(waiting: Waiting, outcome: Outcome): Promise<readonly Waiting[]> {
    switch (outcome.kind) {
      case 'stored':
        waiting.settle(ok(outcome.sequence));
        return [];
      case 'failed':
        waiting.fail(outcome.error);
        return [];
      case 'silent':
        return [waiting];
      case 'stale': {
        const landed = await this.#findLanded(waiting.append).catch(() => 'unknown' as const);
        if (landed === 'unknown') return [waiting];
        waiting.settle(landed === undefined ? refused({ kind: 'stale' }) : ok(landed));
        return [];
      }
    }
  }

  /** The sequence of our own bytes, if they are the last message of the subject, behind the expectation. */
  async #findLanded(append: Append): Promise<Sequence | undefined> {
    const query = { last_by_subj: append.subject };
    const last = await this.#mesh.jsm.streams.getMessage(this.#stream, query);
    if (last === null || last.seq <= (append.expected ?? 0)) return undefined;
    return Buffer.compare(last.data, append.payload) === 0 ? last.seq : undefined;
  }

  async #retryLater(again: readonly Waiting[]): Promise<void> {
    const now = monotonicMs();
    for (const late of again.filter(({ deadline }) => deadline <= now))
      late.fail(new MeshSilentError(`append to ${late.append.subject}`));
    this.#queue = [...again.filter(({ deadline }) => deadline > now), ...this.#queue];
    if (this.#queue.length === 0) return;
    // Not as arguments of one call: when a large run is cancelled the queue is longer than any can have.
    const soonest = this.#queue.reduce(
      (least, { deadline }) => Math.min(least, deadline),
      Number.POSITIVE_INFINITY,
    );
    await pause(jittered(RETRY_MS));
    await this.#mesh.untilConnected(Math.max(0, soonest - monotonicMs())).catch(() => undefined);
  }

  async #publish(append: Append): Promise<Outcome> {
    return this.#request(append, plainHeaders(append));
  }

  async #publishBatch(group: readonly Waiting[]): Promise<Outcome> {
    if (!this.#mesh.isConnected) return { kind: 'silent', cause: undefined };
    const id = randomUUID();
    const last = group.length - 1;
    let outcome: Outcome = { kind: 'silent', cause: undefined };
    try {
      for (const [i, { append }] of group.entries()) {
        const h = plainHeaders(append);
        h.set('Nats-Batch-Id', id);
        h.set('Nats-Batch-Sequence', `${i + 1}`);
        if (i < last) this.#mesh.nc.publish(append.subject, append.payload, { headers: h });
        else {
          h.set('Nats-Batch-Commit', '1');
          outcome = await this.#request(append, h);
        }
      }
    } catch (cause) {
      return outcomeOf(cause);
    }
    return outcome;
  }

  async #request(append: Append, h: MsgHdrs): Promise<Outcome> {
    try {
      const options = { headers: h, timeoutMs: this.#answerMs };
      return answerOutcome(
        append.subject,
        await this.#mesh.request(append.subject, append.payload, options),
      );
    } catch (cause) {
      return outcomeOf(cause);
    }
  }
}

/** A moving average that forgets within some ten measurements. */
const blend = (before: number, now: number): number => before * 0.9 + now * 0.1;

function plainHeaders(append: Append): MsgHdrs {
  const h = headers();
  if (append.expected !== undefined)
    h.set('Nats-Expected-Last-Subject-Sequence', `${append.expected}`);
  for (const [name, value] of Object.entries(append.headers ?? {})) h.set(name, value);
  return h;
}

interface PublishAnswer {
  readonly seq?: number;
  readonly error?: { readonly err_code?: number; readonly description?: string };
}

function answerOutcome(subject: string, message: Msg): Outcome {
  const { seq, error } = message.json<PublishAnswer>();
  if (error === undefined && seq !== undefined && seq > 0) return { kind: 'stored', sequence: seq };
  const code = error?.err_code ?? 0;
  if (WRONG_LAST_SEQUENCE.has(code)) return { kind: 'stale' };
  if (isPassing(code)) return { kind: 'silent', cause: error?.description };
  const answer = { code, description: error?.description ?? 'no sequence in the answer' };
  return { kind: 'failed', error: new MeshAnswerError(`append to ${subject}`, answer) };
}

function outcomeOf(cause: unknown): Outcome {
  const error = portError('append', cause);
  return error.retryable ? { kind: 'silent', cause } : { kind: 'failed', error };
}
