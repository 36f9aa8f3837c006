import type { TaskApiRequest } from './task-api-call.ts';
import { TaskApiError } from './task-api-error.ts';
import { BODY_MS, JSON_BYTES_MAX } from './task-api-limits.ts';

/**
 * The JSON object that a request carries; undefined where it carries nothing. Throws `TaskApiError` for what is too large,
 * too slow, or no JSON object.
 */
export async function readJsonBody(
  request: TaskApiRequest,
  deadlineMs = BODY_MS,
): Promise<Readonly<Record<string, unknown>> | undefined> {
  const bytes = await readBody(request, deadlineMs);
  if (bytes.length === 0) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw new TaskApiError('bad-request', `the body is no JSON: ${String(error)}`);
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return Object.fromEntries(Object.entries(value));
  throw new TaskApiError('bad-request', 'the body is no JSON object');
}

function readBody(request: TaskApiRequest, deadlineMs: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    let bytes = 0;
    const late = setTimeout(() => {
      fail(new TaskApiError('timeout', `the body did not arrive within ${deadlineMs / 1_000} s`));
    }, deadlineMs);
    const fail = (error: Error): void => {
      clearTimeout(late);
      request.pause();
      reject(error);
    };
    request.on('data', (piece: Buffer) => {
      bytes += piece.length;
      if (bytes <= JSON_BYTES_MAX) pieces.push(piece);
      else fail(new TaskApiError('too-large', `a body has at most ${JSON_BYTES_MAX} bytes`));
    });
    request.once('end', () => {
      clearTimeout(late);
      resolve(Buffer.concat(pieces));
    });
    request.once('error', fail);
    request.once('close', () => fail(new Error('the request broke off')));
  });
}
