import type { Claimed, ClaimTicket, Sequence } from '@podmesh/core';
import type { FakeProcess } from '../process/fake-process.ts';
import { Inbox } from '../process/inbox.ts';
import type { QueueMessage, QueuePull, QueueServer } from './queue-server.ts';

/** A message in the hands of one process. */
export class FakeClaim<T> implements Claimed<T> {
  readonly value: T;
  readonly sequence: Sequence;
  readonly ticket: ClaimTicket;
  private readonly process: FakeProcess;
  private readonly server: QueueServer<T>;

  constructor(process: FakeProcess, server: QueueServer<T>, message: QueueMessage<T>) {
    this.process = process;
    this.server = server;
    this.value = message.value;
    this.sequence = message.sequence;
    this.ticket = `${server.name}:${message.sequence}`;
  }

  ack(): Promise<void> {
    return this.process.call(`ack ${this.ticket}`, () => this.server.ack(this.sequence));
  }

  giveBack(delayMs: number): Promise<void> {
    return this.process.call(`nak ${this.ticket} ${delayMs}`, () =>
      this.server.nak(this.sequence, delayMs),
    );
  }
}

/** The stream sequence in a ticket of that queue. */
export function ticketSequence(ticket: ClaimTicket): Sequence {
  return Number(ticket.slice(ticket.indexOf(':') + 1));
}

/** What one pull asks for. */
export interface PullRequest {
  readonly partition: string;
  readonly limit: number;
  readonly waitMs: number;
  readonly signal: AbortSignal;
}

/**
 * One pull of one process. Messages that arrive after its end are given back, as far as the network
 * allows; otherwise their lease runs out.
 */
export async function* pullFrom<T>(
  process: FakeProcess,
  server: QueueServer<T>,
  request: PullRequest,
): AsyncGenerator<Claimed<T>> {
  const { partition, limit, waitMs, signal } = request;
  const inbox = new Inbox<Claimed<T>>((claim) => {
    claim.giveBack(0).catch(() => undefined);
  });
  const label = `${server.name}.deliver ${partition}`;
  const pull: QueuePull<T> = {
    partition,
    wanted: limit,
    expiresMs: 0,
    deliver: (message) => {
      const action = () => inbox.push(new FakeClaim(process, server, message));
      process.receive({ label: `${label} #${message.sequence}`, lossy: true, action });
    },
  };
  let failure: { readonly error: unknown } | undefined;
  const open = () => {
    if (!inbox.closed && process.alive) server.pull(pull, waitMs);
  };
  process.call(`${server.name}.pull ${partition} ${limit}`, open).catch((error: unknown) => {
    failure = { error };
    inbox.close();
  });
  const stopTimer = process.after(waitMs, () => inbox.close());
  const forget = process.onDeath(() => server.cancelPull(pull));
  try {
    let count = 0;
    for await (const claim of inbox.until(signal)) {
      count += 1;
      yield claim;
      if (count >= limit) return;
    }
    if (failure !== undefined && !signal.aborted) throw failure.error;
  } finally {
    stopTimer();
    forget();
    server.cancelPull(pull);
  }
}
