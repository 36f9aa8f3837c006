import { nuid } from '@nats-io/transport-node';
import {
  ok,
  type PeerId,
  RELAY_PART_BYTES,
  type Result,
  refused,
  type SourceRefusal,
  unreachable,
} from '@podmesh/core';
import { type MeshConnection, monotonicMs } from './mesh-connection.ts';
import { MessageBox } from './message-box.ts';
import type { PartLine, PartWindow } from './part-window.ts';
import { decodeRelayAnswer } from './relay-message.ts';
import {
  inboxPartSubject,
  inboxPartSubjects,
  inboxSubject,
  partOfInbox,
  relaySubject,
} from './subjects.ts';
import type { TokenBucket } from './token-bucket.ts';

/** Parts of one thing that a source has. */
export interface WantedParts {
  readonly source: PeerId;
  /** Their numbers, in the order in which they are asked for. */
  readonly parts: readonly number[];
  readonly question: (part: number) => Uint8Array;
  /** Takes the bytes, which are only valid during the call; says what is wrong with them. */
  readonly arrived: (part: number, bytes: Uint8Array) => SourceRefusal | undefined;
}

export interface PartExchangeLimits {
  /** Ends when nothing came for so long. */
  readonly stallMs: number;
  /** A part that did not come in this time is asked for again. */
  readonly partMs: number;
  readonly bucket: TokenBucket;
  readonly window: PartWindow;
}

/** Answers that wait for this thread; more than are ever asked for at a time are of a source that makes them up. */
const WAITING_MAX = 8;

type Outcome = Result<undefined, SourceRefusal>;

/**
 * Gets parts from a source, one request and one reply each: what is on its way is never more than what was
 * asked for, so nothing can overflow, here or at the server. Rejects only with the signal's reason. With
 * the end of the exchange its inbox is gone, so what comes too late is not even delivered.
 */
export class PartExchange {
  readonly #connection: MeshConnection;
  readonly #wanted: WantedParts;
  readonly #limits: PartExchangeLimits;
  readonly #inbox: string;
  readonly #box: MessageBox;
  readonly #line: PartLine;
  /** Part → when it may be asked for (again). */
  readonly #waiting: Map<number, number>;
  /** Part → when it is given up. */
  readonly #asked = new Map<number, number>();
  #heardAt = monotonicMs();
  #received = 0;

  constructor(connection: MeshConnection, wanted: WantedParts, limits: PartExchangeLimits) {
    this.#connection = connection;
    this.#wanted = wanted;
    this.#limits = limits;
    this.#waiting = new Map(wanted.parts.map((part) => [part, 0]));
    this.#inbox = inboxSubject(connection.member, nuid.next(), 0);
    this.#box = new MessageBox(connection, inboxPartSubjects(this.#inbox), WAITING_MAX);
    this.#line = limits.window.join(() => this.#box.wake());
  }

  async run(signal: AbortSignal): Promise<Outcome> {
    try {
      while (this.#received < this.#wanted.parts.length) {
        signal.throwIfAborted();
        const refusal = await this.#step(signal);
        if (refusal !== undefined) return refused(refusal);
      }
      return ok(undefined);
    } finally {
      this.#line.leave();
      this.#box.close();
    }
  }

  async #step(signal: AbortSignal): Promise<SourceRefusal | undefined> {
    const { source } = this.#wanted;
    const now = monotonicMs();
    const stallsAt = this.#heardAt + this.#limits.stallMs;
    if (now >= stallsAt)
      return { kind: 'stalled', message: `${source} sent nothing for ${this.#limits.stallMs} ms` };
    this.#takeBackLate(now);
    const actAt = this.#askWhatMayBe(now);
    const arrival = await this.#box.next(Math.min(stallsAt, actAt) - now, signal);
    signal.throwIfAborted();
    if (arrival.kind === 'cut') return { kind: 'unreachable', message: arrival.message };
    if (arrival.kind === 'quiet') return undefined;
    const part = partOfInbox(arrival.message.subject);
    if (!this.#asked.has(part)) return undefined;
    this.#asked.delete(part);
    this.#line.give();
    const answer = decodeRelayAnswer(arrival.message);
    switch (answer.kind) {
      case 'ok':
        return this.#take(part, answer.bytes);
      case 'busy':
        // What already came would be lost: then it is better to wait here, until it is a stall.
        if (this.#received === 0) return answer;
        this.#waiting.set(part, monotonicMs() + answer.afterMs);
        return undefined;
      case 'not-here':
        return answer;
      case 'nobody':
        return { kind: 'unreachable', message: `${source} does not serve through the relay` };
      case 'nonsense':
        return { kind: 'refused', message: `${source} answered something else than a part` };
      default:
        return unreachable(answer);
    }
  }

  #take(part: number, bytes: Uint8Array): SourceRefusal | undefined {
    this.#heardAt = monotonicMs();
    this.#received += 1;
    return this.#wanted.arrived(part, bytes);
  }

  /** A question or answer may get lost without anybody's noticing. */
  #takeBackLate(now: number): void {
    for (const [part, lateAt] of this.#asked) {
      if (lateAt > now) continue;
      this.#asked.delete(part);
      this.#line.give();
      this.#waiting.set(part, now);
    }
  }

  /** Asks for what there is room and rate for; when there is something to be done again. */
  #askWhatMayBe(now: number): number {
    for (const [part, notBefore] of this.#waiting) {
      if (notBefore > now) continue;
      if (!this.#line.take()) break;
      const shortMs = this.#limits.bucket.take(RELAY_PART_BYTES);
      if (shortMs > 0) {
        this.#line.give();
        return now + shortMs;
      }
      this.#waiting.delete(part);
      this.#asked.set(part, now + this.#limits.partMs);
      this.#publish(part);
    }
    const later = [...this.#waiting.values()].filter((notBefore) => notBefore > now);
    return Math.min(...later, ...this.#asked.values(), Number.POSITIVE_INFINITY);
  }

  #publish(part: number): void {
    const { source, question } = this.#wanted;
    // A connection that is closed says so through the box; the client would throw.
    if (this.#connection.isClosed) return;
    this.#connection.nc.publish(relaySubject(source), question(part), {
      reply: inboxPartSubject(this.#inbox, part),
    });
  }
}
