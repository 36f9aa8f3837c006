import type { ServerResponse } from 'node:http';
import { isTaken } from '../is-taken.ts';
import type { TaskApiAnswer } from './task-api-call.ts';
import { TaskApiError } from './task-api-error.ts';
import { STALL_MS } from './task-api-limits.ts';

/** Sends an answer at the pace of whoever takes it; who takes nothing for `stallMs` is cut off. Never throws. */
export async function sendAnswer(
  response: ServerResponse,
  answer: TaskApiAnswer,
  stallMs = STALL_MS,
): Promise<void> {
  switch (answer.kind) {
    case 'done':
      response.writeHead(204).end();
      return;
    case 'json':
      sendJson(response, answer.status, answer.value);
      return;
    case 'bytes':
      response.writeHead(answer.status, answer.headers);
      try {
        for await (const piece of answer.source)
          if (!(await isTaken(response, piece, stallMs))) return;
        response.end();
      } catch {
        // The head is out: that it broke can only be told by breaking off.
        response.destroy();
      } finally {
        answer.onEnd();
      }
  }
}

/** `{error: {code, message}}`; the connection is closed, since the rest of the request may not have been read. */
export function sendError(response: ServerResponse, error: TaskApiError): void {
  if (response.destroyed || response.headersSent) {
    response.destroy();
    return;
  }
  response.setHeader('connection', 'close');
  sendJson(response, error.status, { error: { code: error.code, message: error.message } });
}

/** Whatever was thrown, as an answer that says no more than the task may know. */
export function toTaskApiError(error: unknown): TaskApiError {
  if (error instanceof TaskApiError) return error;
  const message = error instanceof Error ? error.message : String(error);
  const name = error instanceof Error ? error.name : '';
  if (name === 'DiskFullError') return new TaskApiError('disk-full', message, error);
  if (name === 'ObjectStoreFullError') return new TaskApiError('disk-full', message, error);
  if (name === 'ArtifactMissingError') return new TaskApiError('artifact-missing', message, error);
  const isRetryable = error instanceof Error && 'retryable' in error && error.retryable === true;
  if (isRetryable) return new TaskApiError('mesh-unavailable', `${message}; ask again`, error);
  return new TaskApiError('internal', message, error);
}

function sendJson(response: ServerResponse, status: number, value: object): void {
  const body = Buffer.from(`${JSON.stringify(value)}\n`);
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': String(body.length),
  });
  response.end(body);
}
