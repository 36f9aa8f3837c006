import { JetStreamApiError } from '@nats-io/jetstream';

/** `wrong last sequence` (nats-server errors.json). */
const WRONG_LAST_SEQUENCE = 10071;

/** The server's refusal to whoever has not seen the newest, also below an error of ours. */
export function isWrongSequence(error: unknown): boolean {
  const told = error instanceof Error && error.cause !== undefined ? error.cause : error;
  return told instanceof JetStreamApiError && told.code === WRONG_LAST_SEQUENCE;
}
