import { JetStreamApiError, JetStreamError } from '@nats-io/jetstream';
import { errors } from '@nats-io/transport-node';
import { PortError } from '@podmesh/core';
import { MeshAnswerError, MeshForbiddenError, MeshSilentError } from './mesh-errors.ts';

/**
 * Error codes of a server that cannot answer *now*: no leader, still starting, too busy
 * (nats-server errors.json). The same request may succeed later.
 */
const PASSING_CODES: ReadonlySet<number> = new Set([
  10007, // no suitable peers for placement
  10008, // JetStream system temporarily unavailable
  10009, // JetStream cluster not active / not available
  10074, // stream is offline
  10118, // stream name already in use while it is moved, or not ready
  10167, // too many requests
  10023, // insufficient resources
]);

/** Whether an answer with this code is worth asking for again. */
export const isPassing = (code: number): boolean => PASSING_CODES.has(code);

/** The port's error for one of the client's. Connection trouble of every kind is retryable (NATS.md §1). */
export function portError(what: string, error: unknown): PortError {
  if (error instanceof PortError) return error;
  if (error instanceof JetStreamApiError) {
    const answer = { code: error.code, description: error.message };
    if (isPassing(error.code)) return new MeshSilentError(what, error);
    return new MeshAnswerError(what, answer, error);
  }
  const violation = violationIn(error);
  if (violation !== undefined) return new MeshForbiddenError(what, violation);
  if (isSilence(error)) return new MeshSilentError(what, error);
  if (error instanceof Error)
    return new MeshAnswerError(what, { code: 0, description: error.message }, error);
  throw new TypeError(`${what}: thrown value is no error`, { cause: error });
}

/** The client hides what the server refused behind the request that failed by it. */
function violationIn(error: unknown): Error | undefined {
  if (error instanceof errors.PermissionViolationError) return error;
  return error instanceof Error && error.cause !== undefined ? violationIn(error.cause) : undefined;
}

/** No answer, for whatever reason: no responders, timeout, connection closed or broken. */
function isSilence(error: unknown): boolean {
  return (
    error instanceof errors.TimeoutError ||
    error instanceof errors.RequestError ||
    error instanceof errors.NoRespondersError ||
    error instanceof errors.ConnectionError ||
    error instanceof errors.ClosedConnectionError ||
    error instanceof errors.DrainingConnectionError ||
    (error instanceof Error && error.name === 'JetStreamNotEnabled') ||
    (error instanceof JetStreamError && error.message.includes('no responders'))
  );
}

/** Runs `ask` and translates what it throws. */
export async function asking<T>(what: string, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    throw portError(what, error);
  }
}
