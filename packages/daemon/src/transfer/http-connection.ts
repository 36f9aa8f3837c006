import { connect, type Socket } from 'node:net';
import { SOURCE_STALL_MS } from '@podmesh/core';

/** Bytes of the head of an answer. */
const HEAD_BYTES_MAX = 16 * 1024;
/** Bytes of an answer that is not a chunk; the longest is the list of the largest artifact's chunks. */
const OTHER_BYTES_MAX = 2 * 1024 * 1024;
/** An unused connection is closed, before the other side does it. */
const IDLE_MS = 8_000;

/** Why there is no answer. */
export class HttpProblem extends Error {
  readonly kind: 'unreachable' | 'stalled' | 'closed' | 'malformed';
  /** Not one byte of an answer had come: a connection that was used again may have been closed meanwhile. */
  readonly untouched: boolean;
  constructor(kind: HttpProblem['kind'], message: string, untouched = false) {
    super(message);
    this.kind = kind;
    this.untouched = untouched;
  }
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  /** The buffer that was given, for a body of just that length in answer to a range; else one of its own. */
  readonly body: Uint8Array;
}

export interface HttpRequest {
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Filled by a 206 of just this length. */
  readonly into?: Uint8Array;
}

interface Pending {
  readonly into: Uint8Array | undefined;
  readonly resolve: (answer: HttpAnswer) => void;
  readonly reject: (problem: HttpProblem) => void;
  received: number;
  head: Omit<HttpAnswer, 'body'> | undefined;
  body: Uint8Array | undefined;
  filled: number;
}

/**
 * One connection on which one request after another is made. Node's own client copies each piece of a body
 * twice and makes an event of it; here the kernel writes straight into the chunk's buffer. It understands what
 * podmesh's server sends, HTTP/1.1 with a length, and takes anything else for malformed.
 */
export class HttpConnection {
  readonly #socket: Socket;
  readonly #host: string;
  readonly #scratch = Buffer.allocUnsafeSlow(HEAD_BYTES_MAX);
  #scratchFilled = 0;
  #pending: Pending | undefined;
  #problem: HttpProblem | undefined;

  private constructor(url: URL) {
    this.#host = url.host;
    this.#socket = connect({
      // Brackets are how an address of IPv6 is written in a URL only.
      host: url.hostname.replace(/^\[|\]$/g, ''),
      port: Number(url.port || 80),
      noDelay: true,
      onread: {
        buffer: () => this.#nextBuffer(),
        callback: (bytes) => {
          this.#receive(bytes);
          return true;
        },
      },
    });
    this.#socket.on('error', (error) => this.#fail(new HttpProblem('closed', error.message)));
    this.#socket.on('end', () =>
      this.#fail(new HttpProblem('closed', 'the connection was closed')),
    );
    this.#socket.on('close', () =>
      this.#fail(new HttpProblem('closed', 'the connection was closed')),
    );
    this.#socket.on('timeout', () => this.#fail(this.#silence()));
  }

  /** Rejects with an {@link HttpProblem}, or with the signal's reason. */
  static async open(url: URL, timeoutMs: number, signal: AbortSignal): Promise<HttpConnection> {
    signal.throwIfAborted();
    const connection = new HttpConnection(url);
    const socket = connection.#socket;
    socket.setTimeout(timeoutMs);
    await new Promise<void>((resolve, reject) => {
      const abort = (): void => {
        connection.close();
        reject(signal.reason);
      };
      signal.addEventListener('abort', abort, { once: true });
      socket.once('connect', () => {
        signal.removeEventListener('abort', abort);
        resolve();
      });
      socket.once('close', () => {
        signal.removeEventListener('abort', abort);
        const why = connection.#problem?.message ?? 'the connection was closed';
        reject(new HttpProblem('unreachable', `${url.host}: ${why}`, true));
      });
    });
    socket.setTimeout(IDLE_MS);
    return connection;
  }

  get isUsable(): boolean {
    return this.#problem === undefined && this.#pending === undefined;
  }

  /** Rejects with an {@link HttpProblem}, or with the signal's reason; of no use afterwards. */
  request(
    { path, headers = {}, into }: HttpRequest,
    signal: AbortSignal,
    stallMs = SOURCE_STALL_MS,
  ): Promise<HttpAnswer> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      if (this.#problem !== undefined) return reject(this.#problem);
      const abort = (): void => {
        reject(signal.reason);
        this.close();
      };
      signal.addEventListener('abort', abort, { once: true });
      const end = (): void => signal.removeEventListener('abort', abort);
      this.#pending = {
        into,
        resolve: (answer) => {
          end();
          resolve(answer);
        },
        reject: (problem) => {
          end();
          reject(problem);
        },
        received: 0,
        head: undefined,
        body: undefined,
        filled: 0,
      };
      this.#socket.setTimeout(stallMs);
      const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
      this.#socket.write(`GET ${path} HTTP/1.1\r\nhost: ${this.#host}\r\n${lines.join('')}\r\n`);
    });
  }

  close(): void {
    this.#fail(new HttpProblem('closed', 'the connection is not used any more'));
  }

  #silence(): HttpProblem {
    return this.#pending === undefined
      ? new HttpProblem('closed', 'no answer in time')
      : new HttpProblem('stalled', 'not a byte for too long');
  }

  #fail(problem: HttpProblem): void {
    this.#problem ??= problem;
    const pending = this.#pending;
    this.#pending = undefined;
    this.#socket.destroy();
    pending?.reject(new HttpProblem(problem.kind, problem.message, pending.received === 0));
  }

  /** Where the kernel writes next. Never empty: that would be an error. */
  #nextBuffer(): Uint8Array {
    const { body, filled = 0 } = this.#pending ?? {};
    if (body !== undefined && filled < body.length) return body.subarray(filled);
    const rest = this.#scratch.subarray(this.#scratchFilled);
    return rest.length > 0 ? rest : this.#scratch;
  }

  #receive(bytes: number): void {
    const pending = this.#pending;
    if (pending === undefined) {
      this.#fail(malformed('bytes that nobody asked for'));
      return;
    }
    pending.received += bytes;
    if (pending.body !== undefined) {
      pending.filled += bytes;
    } else {
      this.#scratchFilled += bytes;
      const end = this.#scratch.subarray(0, this.#scratchFilled).indexOf('\r\n\r\n');
      if (end < 0) {
        if (this.#scratchFilled === HEAD_BYTES_MAX) this.#fail(malformed('an endless head'));
        return;
      }
      const problem = this.#beginBody(pending, end);
      if (problem !== undefined) {
        this.#fail(malformed(problem));
        return;
      }
    }
    this.#finish(pending);
  }

  /** What is wrong with the head, if anything. */
  #beginBody(pending: Pending, end: number): string | undefined {
    const head = readHead(this.#scratch.toString('latin1', 0, end));
    if (typeof head === 'string') return head;
    const length = Number(head.headers.get('content-length') ?? Number.NaN);
    if (!Number.isSafeInteger(length) || length < 0) return 'no length';
    const { into } = pending;
    if (head.status === 206 && into !== undefined) {
      if (length !== into.length) return `${length} bytes instead of ${into.length}`;
      pending.body = into;
    } else {
      if (length > OTHER_BYTES_MAX) return `${length} bytes that nobody asked for`;
      pending.body = Buffer.alloc(length);
    }
    const first = this.#scratch.subarray(end + 4, this.#scratchFilled);
    if (first.length > length) return 'more bytes than it said';
    pending.body.set(first);
    pending.filled = first.length;
    pending.head = head;
    this.#scratchFilled = 0;
    return undefined;
  }

  #finish({ head, body, filled, resolve }: Pending): void {
    if (head === undefined || body === undefined || filled < body.length) return;
    this.#pending = undefined;
    this.#socket.setTimeout(IDLE_MS);
    if (head.headers.get('connection')?.toLowerCase() === 'close') this.close();
    resolve({ ...head, body });
  }
}

const malformed = (what: string): HttpProblem =>
  new HttpProblem('malformed', `an answer that is not understood: ${what}`);

function readHead(text: string): Omit<HttpAnswer, 'body'> | string {
  const [first = '', ...lines] = text.split('\r\n');
  const status = /^HTTP\/1\.1 (\d{3})(?: |$)/.exec(first)?.[1];
  if (status === undefined) return 'not HTTP/1.1';
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).toLowerCase();
    if (colon < 1 || headers.has(name)) return 'a strange head';
    headers.set(name, line.slice(colon + 1).trim());
  }
  if (headers.has('transfer-encoding')) return 'a coding that was not asked for';
  return { status: Number(status), headers };
}
