import { UnreadableMessageError } from './mesh-errors.ts';

/** What the server wrote into the reply subject of a message it delivered. */
export interface Delivery {
  readonly streamSequence: number;
  /** 1 for the first message of a consumer; a gap means that messages were missed. */
  readonly consumerSequence: number;
  /** Messages that wait behind this one. */
  readonly pending: number;
  /** Server's time, RFC 3339. */
  readonly at: string;
}

/**
 * Parses `$JS.ACK.<stream>.<consumer>.<delivered>.<sseq>.<cseq>.<time>.<pending>`; the newer form has
 * a domain and an account hash after `ACK` (ADR-15). The client's own parser makes a Date per
 * message; here the time is formatted from its nanoseconds at once.
 */
export function parseDelivery(reply: string): Delivery {
  const tokens = reply.split('.');
  const at = tokens.length >= 11 ? 2 : 0;
  const nanoseconds = tokens[7 + at];
  const streamSequence = Number(tokens[5 + at]);
  if (tokens[1] !== 'ACK' || nanoseconds === undefined || !Number.isSafeInteger(streamSequence))
    throw new UnreadableMessageError(`reply ${reply}`);
  return {
    streamSequence,
    consumerSequence: Number(tokens[6 + at]),
    pending: Number(tokens[8 + at]),
    at: new Date(Number(nanoseconds.slice(0, -6))).toISOString(),
  };
}
