import { nanos } from '@nats-io/transport-node';
import type { ClaimTicket } from '@podmesh/core';
import { type MeshConnection, monotonicMs } from './mesh-connection.ts';
import { ClaimForgottenError } from './mesh-errors.ts';
import { jittered, pause } from './pause.ts';
import { portError } from './port-error.ts';

/** An answer takes a millisecond; without one the claim may be forgotten, see below. */
const FIRST_ANSWER_MS = 1_500;
const ANSWER_MS = 5_000;
/** An acknowledgement that cannot be delivered for this long is left to redelivery, which is harmless. */
const PATIENCE_MS = 30_000;
/** An acknowledgement that is answered at all is answered this soon after the extension behind it. */
const FORGOTTEN_MS = 1_000;
const RETRY_MS = 250;

/** Acknowledges for good, and resolves when the server has confirmed it. Harmless when done before. Throws `ClaimForgottenError`. */
export const acknowledge = (mesh: MeshConnection, ticket: ClaimTicket): Promise<void> =>
  settle(mesh, ticket, '+ACK');

/** Acknowledges without asking for an answer: lost, the message comes again and is seen to be history. */
export function acknowledgeUnconfirmed(mesh: MeshConnection, ticket: ClaimTicket): void {
  if (!mesh.isClosed) mesh.nc.publish(ticket, '+ACK');
}

/** Gives the message back for delivery after `delayMs`. */
export const giveBack = (
  mesh: MeshConnection,
  ticket: ClaimTicket,
  delayMs: number,
): Promise<void> => settle(mesh, ticket, giveBackWord(delayMs));

/** The protocol word (ADR-15) that gives a message back. */
export const giveBackWord = (delayMs: number): string =>
  delayMs > 0 ? `-NAK ${JSON.stringify({ delay: nanos(delayMs) })}` : '-NAK';

/** The ticket is the message's reply subject: any connection may use it, at any time. */
async function settle(mesh: MeshConnection, ticket: ClaimTicket, word: string): Promise<void> {
  const deadline = monotonicMs() + PATIENCE_MS;
  for (let attempt = 1; ; attempt++) {
    try {
      await mesh.untilConnected(deadline - monotonicMs());
      const timeoutMs = attempt === 1 ? FIRST_ANSWER_MS : ANSWER_MS;
      const answer = mesh.request(ticket, word, { timeoutMs });
      await (attempt === 1 ? answer : orForgotten(mesh, ticket, answer));
      return;
    } catch (cause) {
      const error = portError('settle a claim', cause);
      if (!error.retryable || mesh.isClosed || monotonicMs() >= deadline) throw error;
      await pause(jittered(RETRY_MS));
    }
  }
}

/**
 * A server that was killed may have forgotten the delivery. It then never answers an acknowledgement,
 * but it does answer an extension, which it reads after it.
 */
async function orForgotten(
  mesh: MeshConnection,
  ticket: ClaimTicket,
  answer: Promise<unknown>,
): Promise<void> {
  const settled = answer.then(
    () => 'settled' as const,
    () => 'unanswered' as const,
  );
  await mesh.request(ticket, '+WPI', { timeoutMs: ANSWER_MS });
  const end = new AbortController();
  const late = pause(FORGOTTEN_MS, end.signal).then(() => 'forgotten' as const);
  const first = await Promise.race([settled, late]);
  end.abort();
  if (first === 'forgotten') throw new ClaimForgottenError();
  if (first === 'unanswered') await answer;
}
