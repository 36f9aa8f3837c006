import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';

/** Bytes of the head of an answer. */
const HEAD_BYTES_MAX = 16 * 1024;
/** Bytes of an answer that is not a chunk; the longest is the list of the largest artifact's chunks. */
const OTHER_BYTES_MAX = 2 * 1024 * 1024;
/** An unused connection is closed, before the other side does it. */
const IDLE_MS = 8_000;

/**
 * @typedef {{ readonly status: number, readonly headers: ReadonlyMap<string, string> }} HttpHead
 * @typedef {HttpHead & { readonly body: Uint8Array }} HttpAnswer `body`: the buffer that was given, for a body of just
 *   that length in answer to a range; else one of its own.
 */
/**
 * @typedef {object} HttpRequest
 * @property {string} path
 * @property {Readonly<Record<string, string>>} [headers]
 * @property {Uint8Array | undefined} [into] filled by a 206 of just this length
 */
/**
 * @typedef {object} Pending
 * @property {Uint8Array | undefined} into
 * @property {(answer: HttpAnswer) => void} resolve
 * @property {(problem: HttpProblem) => void} reject
 * @property {number} received
 * @property {HttpHead | undefined} head
 * @property {Uint8Array | undefined} body
 * @property {number} filled
 */
/** @typedef {'unreachable' | 'stalled' | 'closed' | 'malformed'} HttpProblemKind */

/** @typedef {Pick<import('node:tls').ConnectionOptions, 'ca' | 'cert' | 'key' | 'servername' | 'minVersion' | 'checkServerIdentity'>} TlsIdentity */

/** Why there is no answer. */
export class HttpProblem extends Error {
  /**
   * @param {HttpProblemKind} kind
   * @param {string} message
   * @param {boolean} untouched not one byte of an answer had come: a connection that was used again may have been
   *   closed meanwhile
   */
  constructor(kind, message, untouched = false) {
    super(message);
    this.kind = kind;
    this.untouched = untouched;
  }
}

/**
 * One connection on which one request after another is made. Node's own client copies each piece of a body
 * twice and makes an event of it; here the kernel writes straight into the chunk's buffer. It understands what
 * podmesh's server sends, HTTP/1.1 with a length, and takes anything else for malformed.
 */
export class HttpConnection {
  #scratch = Buffer.allocUnsafeSlow(HEAD_BYTES_MAX);
  #scratchFilled = 0;
  /** @type {Pending | undefined} */
  #pending;
  /** @type {HttpProblem | undefined} */
  #problem;
  #host;
  #socket;
  #isTls;

  /**
   * @param {URL} url
   * @param {TlsIdentity} [tls]
   */
  constructor(url, tls) {
    this.#host = url.host;
    const place = {
      // Brackets are how an address of IPv6 is written in a URL only.
      host: url.hostname.replace(/^\[|\]$/g, ''),
      port: Number(url.port || (tls === undefined ? 80 : 443)),
      noDelay: true,
      onread: {
        buffer: () => this.#nextBuffer(),
        callback: (/** @type {number} */ bytes) => {
          this.#receive(bytes);
          return true;
        },
      },
    };
    this.#isTls = tls !== undefined;
    this.#socket = tls === undefined ? connect(place) : connectTls({ ...place, ...tls });
    const closed = () => this.#fail(new HttpProblem('closed', 'the connection was closed'));
    this.#socket.on('error', (error) => this.#fail(new HttpProblem('closed', error.message)));
    this.#socket.on('end', closed);
    this.#socket.on('close', closed);
    this.#socket.on('timeout', () => this.#fail(this.#silence()));
  }

  /**
   * Rejects with an {@link HttpProblem}, or with the signal's reason.
   * @param {URL} url
   * @param {number} timeoutMs
   * @param {AbortSignal} signal
   * @param {TlsIdentity} [tls] absent: the connection is not encrypted
   * @returns {Promise<HttpConnection>}
   */
  static async open(url, timeoutMs, signal, tls) {
    signal.throwIfAborted();
    const connection = new HttpConnection(url, tls);
    const socket = connection.#socket;
    socket.setTimeout(timeoutMs);
    await /** @type {Promise<void>} */ (
      new Promise((resolve, reject) => {
        const abort = () => {
          connection.close();
          reject(signal.reason);
        };
        signal.addEventListener('abort', abort, { once: true });
        socket.once(connection.#isTls ? 'secureConnect' : 'connect', () => {
          signal.removeEventListener('abort', abort);
          resolve();
        });
        socket.once('close', () => {
          signal.removeEventListener('abort', abort);
          const why = connection.#problem?.message ?? 'the connection was closed';
          reject(new HttpProblem('unreachable', `${url.host}: ${why}`, true));
        });
      })
    );
    socket.setTimeout(IDLE_MS);
    return connection;
  }

  /** @returns {boolean} */
  get isUsable() {
    return this.#problem === undefined && this.#pending === undefined;
  }

  /**
   * Rejects with an {@link HttpProblem}, or with the signal's reason; of no use afterwards.
   * @param {HttpRequest} request
   * @param {AbortSignal} signal
   * @param {number} stallMs without a byte
   * @returns {Promise<HttpAnswer>}
   */
  request({ path, headers = {}, into }, signal, stallMs) {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      if (this.#problem !== undefined) return reject(this.#problem);
      const abort = () => {
        reject(signal.reason);
        this.close();
      };
      signal.addEventListener('abort', abort, { once: true });
      const end = () => signal.removeEventListener('abort', abort);
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

  close() {
    this.#fail(new HttpProblem('closed', 'the connection is not used any more'));
  }

  #silence() {
    return this.#pending === undefined
      ? new HttpProblem('closed', 'no answer in time')
      : new HttpProblem('stalled', 'not a byte for too long');
  }

  /** @param {HttpProblem} problem */
  #fail(problem) {
    this.#problem ??= problem;
    const pending = this.#pending;
    this.#pending = undefined;
    this.#socket.destroy();
    pending?.reject(new HttpProblem(problem.kind, problem.message, pending.received === 0));
  }

  /** Where the kernel writes next. Never empty: that would be an error. */
  #nextBuffer() {
    const { body, filled = 0 } = this.#pending ?? {};
    if (body !== undefined && filled < body.length) return body.subarray(filled);
    const rest = this.#scratch.subarray(this.#scratchFilled);
    return rest.length > 0 ? rest : this.#scratch;
  }

  /** @param {number} bytes */
  #receive(bytes) {
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

  /**
   * @param {Pending} pending
   * @param {number} end of the head
   * @returns {string | undefined} what is wrong with the head, if anything
   */
  #beginBody(pending, end) {
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

  /** @param {Pending} pending */
  #finish({ head, body, filled, resolve }) {
    if (head === undefined || body === undefined || filled < body.length) return;
    this.#pending = undefined;
    this.#socket.setTimeout(IDLE_MS);
    if (head.headers.get('connection')?.toLowerCase() === 'close') this.close();
    resolve({ ...head, body });
  }
}

/** @param {string} what */
const malformed = (what) =>
  new HttpProblem('malformed', `an answer that is not understood: ${what}`);

/**
 * @param {string} text
 * @returns {HttpHead | string}
 */
function readHead(text) {
  const [first = '', ...lines] = text.split('\r\n');
  const status = /^HTTP\/1\.1 (\d{3})(?: |$)/.exec(first)?.[1];
  if (status === undefined) return 'not HTTP/1.1';
  const headers = new Map();
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).toLowerCase();
    if (colon < 1 || headers.has(name)) return 'a strange head';
    headers.set(name, line.slice(colon + 1).trim());
  }
  if (headers.has('transfer-encoding')) return 'a coding that was not asked for';
  return { status: Number(status), headers };
}
