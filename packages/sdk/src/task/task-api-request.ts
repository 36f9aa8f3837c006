import { type IncomingMessage, request } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as pause } from 'node:timers/promises';

/** The peer refused: `code` is for programs, the message for people; `status` is that of HTTP. */
export class TaskRefusedError extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.name = 'TaskRefusedError';
    this.status = status;
    this.code = code;
  }
}

/** Nobody answered for so long that the peer will not come back. */
export class PeerAwayError extends Error {
  constructor(socketPath: string, cause: unknown) {
    super(`nobody answers at ${socketPath}: is this a task of podmesh?`, { cause });
    this.name = 'PeerAwayError';
  }
}

export interface TaskRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Made anew for each try. */
  readonly body?: () => Uint8Array | AsyncIterable<Uint8Array>;
}

const REST_MS = 50;
const REST_MS_MAX = 2_000;
/** What passes by itself. */
const PASSING = ['mesh-unavailable', 'too-many-requests'];

/**
 * One request at the socket of this task, made again while the peer is away (a daemon that is restarted needs seconds):
 * all that a task may ask can be asked twice. Throws `TaskRefusedError` or `PeerAwayError`.
 */
export async function askPeer<T>(
  socketPath: string,
  asked: TaskRequest,
  take: (response: IncomingMessage) => Promise<T>,
  awayMsMax: number,
): Promise<T> {
  const untilMs = performance.now() + awayMsMax;
  for (let restMs = REST_MS; ; restMs = Math.min(REST_MS_MAX, restMs * 2)) {
    try {
      return await askOnce(socketPath, asked, take);
    } catch (error) {
      const isRefusal = error instanceof TaskRefusedError;
      if (isRefusal && !PASSING.includes(error.code)) throw error;
      if (!isRefusal && !isAway(error)) throw error;
      if (performance.now() + restMs > untilMs)
        throw isRefusal ? error : new PeerAwayError(socketPath, error);
      await pause(restMs);
    }
  }
}

/** The whole answer. */
export async function readAnswer(response: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of response as AsyncIterable<Buffer>) pieces.push(piece);
  return Buffer.concat(pieces);
}

async function askOnce<T>(
  socketPath: string,
  { method, path, headers = {}, body }: TaskRequest,
  take: (response: IncomingMessage) => Promise<T>,
): Promise<T> {
  const asking = request({ socketPath, method, path, headers, agent: false });
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    asking.once('response', resolve);
    asking.once('error', reject);
  });
  const content = body?.() ?? new Uint8Array();
  const source = content instanceof Uint8Array ? Readable.from([content]) : Readable.from(content);
  // A refusal may come, and the connection close, while the body is still being sent: the answer tells.
  const sent = pipeline(source, asking).catch(() => undefined);
  try {
    const response = await answered;
    if ((response.statusCode ?? 0) >= 400) throw await refusalIn(response);
    return await take(response);
  } finally {
    asking.destroy();
    await sent;
  }
}

async function refusalIn(response: IncomingMessage): Promise<TaskRefusedError> {
  const status = response.statusCode ?? 0;
  const text = (await readAnswer(response)).toString('utf8');
  try {
    const { error } = JSON.parse(text) as { error: { code: string; message: string } };
    return new TaskRefusedError(status, error.code, error.message);
  } catch {
    return new TaskRefusedError(status, 'unknown', `HTTP ${status}`);
  }
}

function isAway(error: unknown): boolean {
  const codes = ['ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ECONNABORTED'];
  return error instanceof Error && 'code' in error && codes.includes(String(error.code));
}
