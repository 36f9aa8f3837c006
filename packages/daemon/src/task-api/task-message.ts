import { Readable } from 'node:stream';
import { TASK_MESSAGE_BYTES_MAX, type TaskQuestion, type TaskReply } from '@podmesh/core';
import type { TaskApiAnswer, TaskApiRequest } from './task-api-call.ts';
import { TaskApiError } from './task-api-error.ts';

/** A message as the routes take a request: all of it is there already. */
export class MessageRequest extends Readable implements TaskApiRequest {
  readonly headers: { readonly range?: string };
  readonly complete = true;
  readonly #body: Uint8Array;

  constructor({ range, body }: TaskQuestion) {
    super();
    this.headers = range === undefined ? {} : { range };
    this.#body = body;
  }

  override _read(): void {
    if (this.#body.length > 0) this.push(this.#body);
    this.push(null);
  }
}

/**
 * An answer as one message. Of the bytes of an artifact it has as many as fit, and says which; other answers that are
 * larger are for the socket. Throws `TaskApiError`, and whatever the bytes break off with.
 */
export async function replyOf(
  answer: TaskApiAnswer,
  bytesMax = TASK_MESSAGE_BYTES_MAX,
): Promise<TaskReply> {
  switch (answer.kind) {
    case 'done':
      return { status: 204, headers: {}, body: new Uint8Array() };
    case 'json':
      return jsonReply(answer.status, answer.value, bytesMax);
    case 'bytes':
      try {
        return await bytesReply(answer, bytesMax);
      } finally {
        answer.onEnd();
      }
  }
}

/** The same body as over HTTP. */
export function errorReply({ status, code, message }: TaskApiError): TaskReply {
  const body = Buffer.from(`${JSON.stringify({ error: { code, message } })}\n`);
  return { status, headers: JSON_HEADERS, error: code, body };
}

const JSON_HEADERS = { 'content-type': 'application/json' };

function jsonReply(status: number, value: object, bytesMax: number): TaskReply {
  const body = Buffer.from(`${JSON.stringify(value)}\n`);
  if (body.length > bytesMax) throw tooLarge();
  return { status, headers: JSON_HEADERS, body };
}

async function bytesReply(
  { status, headers, source }: Extract<TaskApiAnswer, { kind: 'bytes' }>,
  bytesMax: number,
): Promise<TaskReply> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of source) {
    pieces.push(piece);
    bytes += piece.length;
    // What is left of it is destroyed.
    if (bytes > bytesMax) break;
  }
  const all = Buffer.concat(pieces);
  if (bytes <= bytesMax) return { status, headers, body: all };
  if (headers['accept-ranges'] === undefined) throw tooLarge();
  return { status: 206, headers: partOf(headers, bytesMax), body: all.subarray(0, bytesMax) };
}

/** What the headers say of an answer of which only the first bytes are sent. */
function partOf(headers: Readonly<Record<string, string>>, bytes: number): Record<string, string> {
  const [, first, total] = /^bytes (\d+)-\d+\/(\d+)$/.exec(headers['content-range'] ?? '') ?? [];
  const start = Number(first ?? '0');
  const range = `bytes ${start}-${start + bytes - 1}/${total ?? headers['content-length'] ?? '*'}`;
  return { ...headers, 'content-length': String(bytes), 'content-range': range };
}

const tooLarge = (): TaskApiError =>
  new TaskApiError(
    'too-large',
    'this answer does not fit into one message; ask for less, or at /run/podmesh.sock',
  );
