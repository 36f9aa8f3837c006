import { AckPolicy, type ConsumerConfig, DeliverPolicy } from '@nats-io/jetstream';
import { type Msg, nanos } from '@nats-io/transport-node';
import { type Claimed, LEASE_MS } from '@podmesh/core';
import { acknowledge, giveBack, giveBackWord } from './claim-ticket.ts';
import { parseDelivery } from './delivery.ts';
import { type MeshConnection, monotonicMs } from './mesh-connection.ts';
import { onAbort } from './on-abort.ts';
import { jittered, pause } from './pause.ts';
import { asking } from './port-error.ts';
import { PullRequest } from './pull-request.ts';

export interface ClaimQueueOptions<T> {
  readonly stream: string;
  readonly consumer: string;
  readonly filter: string;
  /** Throws for a message that is none of ours; such a one is removed from the queue. */
  readonly parse: (message: Msg) => T;
  /** Overrides `LEASE_MS`; tests shorten it. */
  readonly leaseMs?: number;
}

/** Mesh-wide claims of one queue at a time; the server's default of 1000 would stall big meshes. */
const CLAIMS_MAX = 100_000;
/** Pulls that wait at one consumer, of all peers together. */
const PULLS_MAX = 4_096;
/** A pull that ends at once by an error waits this long, so that a caller's loop does not spin. */
const RETRY_MS = 250;

/**
 * One durable consumer of a work queue, pulled by many peers. The consumer is made once, and made
 * again when the server says that nobody answers for it; deleting it loses nothing, unacknowledged
 * messages stay in the stream (NATS.md §3.1).
 */
export class ClaimQueue<T> {
  readonly #mesh: MeshConnection;
  readonly #options: ClaimQueueOptions<T>;
  #ready: Promise<void> | undefined;

  constructor(mesh: MeshConnection, options: ClaimQueueOptions<T>) {
    this.#mesh = mesh;
    this.#options = options;
  }

  /** Makes the consumer, once. */
  ensure(): Promise<void> {
    this.#ready ??= this.#create().catch((error: unknown) => {
      this.#ready = undefined;
      throw error;
    });
    return this.#ready;
  }

  /** See `OfferQueue.pull`: trouble ends it quietly, the caller's loop asks again. */
  async *pull(
    limit: number,
    waitMs: number,
    signal: AbortSignal,
  ): AsyncGenerator<Claimed<T>, void, undefined> {
    const deadline = monotonicMs() + waitMs;
    if (signal.aborted || limit < 1 || !(await this.#prepare(waitMs, signal))) return;
    const pull = new PullRequest(this.#mesh, {
      stream: this.#options.stream,
      consumer: this.#options.consumer,
      batch: limit,
      expiresMs: Math.max(0, Math.floor(deadline - monotonicMs())),
      onUnwanted: (message) => void message.respond(giveBackWord(0)),
    });
    const ignoreAbort = onAbort(signal, () => pull.stop());
    try {
      for (;;) {
        await pull.ready();
        if (signal.aborted) return;
        const [message] = pull.take(1);
        const claimed = message === undefined ? undefined : this.#claim(message);
        if (claimed !== undefined) yield claimed;
        if (message === undefined && pull.end !== undefined) break;
      }
    } finally {
      ignoreAbort();
      pull.stop();
      for (const message of pull.take(limit)) message.respond(giveBackWord(0));
    }
    await this.#afterEnd(pull, signal);
  }

  async #afterEnd(pull: PullRequest, signal: AbortSignal): Promise<void> {
    if (pull.end === 'missing') this.#ready = undefined;
    if (pull.end === 'missing' || pull.end === 'broken') await pause(jittered(RETRY_MS), signal);
  }

  /** Whether a pull makes sense now: connected, with a consumer there. */
  async #prepare(waitMs: number, signal: AbortSignal): Promise<boolean> {
    try {
      await this.#mesh.untilConnected(Math.max(waitMs, RETRY_MS), signal);
      await this.ensure();
      return !signal.aborted;
    } catch {
      await pause(jittered(RETRY_MS), signal);
      return false;
    }
  }

  #claim(message: Msg): Claimed<T> | undefined {
    const mesh = this.#mesh;
    const ticket = message.reply ?? '';
    let value: T;
    try {
      value = this.#options.parse(message);
    } catch {
      // It would come back for ever: a queue is a hint, what is lost in it is offered again.
      message.respond('+TERM unreadable');
      return undefined;
    }
    return {
      value,
      sequence: parseDelivery(ticket).streamSequence,
      ticket,
      ack: () => acknowledge(mesh, ticket),
      giveBack: (delayMs) => giveBack(mesh, ticket, delayMs),
    };
  }

  /** `add` is create-only (NATS.md §3.1): a consumer with other settings is brought up to date. */
  async #create(): Promise<void> {
    const { stream, consumer, filter, leaseMs } = this.#options;
    const settings: Partial<ConsumerConfig> = {
      ack_wait: nanos(leaseMs ?? LEASE_MS),
      max_ack_pending: CLAIMS_MAX,
      max_deliver: -1,
      filter_subject: filter,
    };
    const config: Partial<ConsumerConfig> = {
      ...settings,
      durable_name: consumer,
      ack_policy: AckPolicy.Explicit,
      deliver_policy: DeliverPolicy.All,
      max_waiting: PULLS_MAX,
    };
    const { consumers } = this.#mesh.jsm;
    await asking(`open queue ${consumer}`, () =>
      consumers.add(stream, config).catch(() => consumers.update(stream, consumer, settings)),
    );
  }
}

/** Subjects of a work queue that hold a message, waiting or claimed; the client reads all pages. */
export async function queuedSubjects(
  mesh: MeshConnection,
  stream: string,
  filter: string,
): Promise<readonly string[]> {
  const { state } = await asking(`list ${stream}`, () =>
    mesh.jsm.streams.info(stream, { subjects_filter: filter }),
  );
  return Object.keys(state.subjects ?? {});
}
