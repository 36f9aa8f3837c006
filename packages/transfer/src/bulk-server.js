import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { say, sayJson, sendJson, sent } from './bulk-answer.js';
import { parseByteRange } from './byte-range.js';
import { helloProof, isSameSecret } from './hello-proof.js';
import { RevokedCertificates, TLS_VERSION_MIN } from './peer-certificates.js';

/** Connections at the same time. */
const SOCKETS_MAX = 64;
/** A request has arrived within this… */
const HEAD_MS = 5_000;
/** …and a connection on which nothing moves for this long is closed. */
const IDLE_MS = 15_000;
/** How often the two are looked at. */
const CHECK_MS = 1_000;
/** When a peer that is told to come back should. */
const BUSY_MS = 500;
/** A chunk has left within this: who reads a byte now and then would never be idle, and keep others waiting. */
const CHUNK_MS = 60_000;
/** Bytes of a file that are read and sent as one. */
const PIECE_BYTES = 1024 * 1024;

const ARTIFACT = /^\/v1\/artifact\/([0-9a-f]{64})(\/chunks)?$/;
const HELLO = /^\/v1\/hello\?nonce=([0-9a-f]{32,128})$/;

/** @typedef {import('node:http').IncomingMessage} IncomingMessage */
/** @typedef {import('node:http').ServerResponse} ServerResponse */
/** @typedef {import('./byte-range.js').ByteRange} ByteRange */
/**
 * @typedef {object} OpenBytes A file that is open, or what stands for one.
 * @property {(into: Uint8Array, at: number, length: number, position: number) => Promise<{ bytesRead: number }>} read
 * @property {() => Promise<void>} close
 */
/**
 * @typedef {object} BulkSource What is served. Artifacts are named by the hex of their digest.
 * @property {(hex: string) => Promise<{ bytes: number, isWhole: boolean } | undefined>} find `isWhole`: false where only
 *   some chunks are here as yet; such are served in ranges only
 * @property {(hex: string, range: ByteRange) => Promise<OpenBytes | undefined>} open undefined where not all of the
 *   range is here and verified
 * @property {(hex: string) => Promise<{ bytes: number, digests: readonly string[] } | undefined>} chunkList
 */
/**
 * @typedef {object} BulkServerParts
 * @property {string} peer
 * @property {string} key whoever knows it may fetch
 * @property {BulkSource} source
 * @property {string} host an address of this machine
 * @property {number} port 0: any that is free
 * @property {number} streamsMax artifacts, parts of them or lists that are sent at the same time
 * @property {number} chunkBytes
 * @property {import('./peer-certificates.js').OwnCertificate} [own] absent: nothing is encrypted, and only the key counts
 * @property {number} [chunkMs] overrides `CHUNK_MS` in tests
 */

/**
 * What this peer has, for other peers and for `curl`: `GET|HEAD /v1/artifact/<hex>`, with one `Range`, and
 * `/v1/artifact/<hex>/chunks`. Paths never name files: only a digest can be asked for. Everything is bounded,
 * so that whoever asks for too much waits, and nothing else on this machine does. Plain JavaScript, because Node 20
 * is to run it in a thread from `src`, too.
 */
export class BulkServer {
  #parts;
  #server;
  #revoked = new RevokedCertificates();
  /** Not in use; as many as there were streams of files at the same time. @type {Buffer[]} */
  #buffers = [];
  #streams = 0;

  /** @param {BulkServerParts} parts */
  constructor(parts) {
    this.#parts = parts;
    const options = {
      headersTimeout: HEAD_MS,
      requestTimeout: HEAD_MS,
      keepAliveTimeout: IDLE_MS,
      connectionsCheckingInterval: CHECK_MS,
      noDelay: true,
    };
    /** @type {import('node:http').RequestListener} */
    const listener = (request, response) => {
      // Asked before the last answer has left: it has no socket, so that nobody would tell when the asker is gone.
      if (response.socket === null) request.socket.destroy();
      else void this.#answer(request, response);
    };
    this.#server =
      parts.own === undefined
        ? createServer(options, listener)
        : this.#secure({ ...options, handshakeTimeout: HEAD_MS, ...parts.own }, listener);
    this.#server.maxConnections = SOCKETS_MAX;
    this.#server.setTimeout(IDLE_MS, (socket) => socket.destroy());
  }

  /**
   * Resolves when it listens; rejects when it cannot.
   * @returns {Promise<void>}
   */
  async start() {
    const { host, port } = this.#parts;
    await /** @type {Promise<void>} */ (
      new Promise((resolve, reject) => {
        this.#server.once('error', reject);
        this.#server.listen({ host, port }, () => {
          this.#server.removeListener('error', reject);
          // A connection that could not be accepted, for want of files say: who wanted it tries again, or elsewhere.
          this.#server.on('error', () => undefined);
          resolve();
        });
      })
    );
  }

  /** @returns {Promise<void>} */
  async stop() {
    if (!this.#server.listening) return;
    await /** @type {Promise<void>} */ (
      new Promise((resolve) => {
        this.#server.close(() => resolve());
        this.#server.closeAllConnections();
      })
    );
  }

  /**
   * Where it listens.
   * @returns {string}
   */
  get url() {
    const { address, port, family } = /** @type {import('node:net').AddressInfo} */ (
      this.#server.address()
    );
    const scheme = this.#parts.own === undefined ? 'http' : 'https';
    return `${scheme}://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
  }

  /**
   * Artifacts, parts of them, or lists of their chunks, that are being sent.
   * @returns {number}
   */
  get streams() {
    return this.#streams;
  }

  /**
   * From now on these get nothing, and what they were getting ends.
   * @param {readonly string[]} fingerprints
   */
  revoke(fingerprints) {
    this.#revoked.set(fingerprints);
  }

  /**
   * Shows this certificate from the next connection on.
   * @param {import('./peer-certificates.js').OwnCertificate} own
   */
  renew(own) {
    if ('setSecureContext' in this.#server)
      this.#server.setSecureContext({ ...own, minVersion: TLS_VERSION_MIN });
  }

  /**
   * Whoever has no certificate of this mesh, or a revoked one, is gone after the handshake.
   * @param {import('node:https').ServerOptions} options
   * @param {import('node:http').RequestListener} listener
   */
  #secure(options, listener) {
    const server = createSecureServer(
      { ...options, requestCert: true, rejectUnauthorized: true, minVersion: TLS_VERSION_MIN },
      listener,
    );
    server.on('secureConnection', (socket) => this.#revoked.admit(socket));
    return server;
  }

  /**
   * @param {IncomingMessage} request
   * @param {ServerResponse} response
   */
  async #answer(request, response) {
    try {
      await this.#route(request, response);
    } catch {
      // A disk that cannot be read is, to others, a peer that has nothing; the disk's own users tell of it.
      if (response.headersSent) response.destroy();
      else say(response, 404);
    }
  }

  /**
   * @param {IncomingMessage} request
   * @param {ServerResponse} response
   */
  async #route(request, response) {
    const { method, url = '', headers } = request;
    if (method !== 'GET' && method !== 'HEAD') return say(response, 405, { connection: 'close' });
    if (headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0) {
      return say(response, 400, { connection: 'close' });
    }
    const nonce = HELLO.exec(url)?.[1];
    if (nonce !== undefined) {
      const { peer, key } = this.#parts;
      return sayJson(response, { peer, proof: helloProof(key, peer, nonce) });
    }
    if (!isSameSecret(headers.authorization ?? '', `Bearer ${this.#parts.key}`)) {
      return say(response, 401);
    }
    const [, hex, chunks] = ARTIFACT.exec(url) ?? [];
    if (hex === undefined) return say(response, 404);
    if (chunks === undefined) return this.#serve(hex, request, response);
    const list = await this.#parts.source.chunkList(hex);
    if (list === undefined) return say(response, 404);
    if (method === 'HEAD') return sayJson(response, list);
    await this.#hold(response, 1, () => sendJson(response, list));
  }

  /**
   * @param {string} hex
   * @param {IncomingMessage} request
   * @param {ServerResponse} response
   */
  async #serve(hex, { method, headers }, response) {
    const { source, chunkBytes } = this.#parts;
    const found = await source.find(hex);
    if (found === undefined) return say(response, 404);
    const { bytes, isWhole } = found;
    // Of what is not whole only chunks were checked, against a list that nothing proves: never passed off as the whole.
    if (!isWhole && (method === 'HEAD' || headers.range === undefined)) return say(response, 404);
    const asked = parseByteRange(headers.range, bytes);
    if (asked === 'unsatisfiable')
      return say(response, 416, { 'content-range': `bytes */${bytes}` });
    const range = asked === 'whole' ? { start: 0, end: bytes } : asked;
    const head = {
      'accept-ranges': 'bytes',
      'content-type': 'application/octet-stream',
      'content-length': String(range.end - range.start),
      ...(asked === 'whole'
        ? {}
        : { 'content-range': `bytes ${range.start}-${range.end - 1}/${bytes}` }),
    };
    const status = asked === 'whole' ? 200 : 206;
    if (method === 'HEAD' || range.start === range.end) {
      response.writeHead(status, head).end();
      return;
    }
    const chunks = Math.ceil((range.end - range.start) / chunkBytes);
    await this.#hold(response, chunks, async () => {
      const file = await source.open(hex, range);
      if (file === undefined) return say(response, 404);
      await this.#stream(file, range, response, () => response.writeHead(status, head));
    });
  }

  /**
   * Sends when there is a stream free for it, and has sent when its time is over.
   * @param {ServerResponse} response
   * @param {number} chunks
   * @param {() => Promise<void>} send
   */
  async #hold(response, chunks, send) {
    if (this.#streams >= this.#parts.streamsMax) {
      return say(response, 429, { 'retry-after': '1', 'retry-after-ms': String(BUSY_MS) });
    }
    this.#streams += 1;
    const { socket } = response.req;
    // A timer's longest, 24 days, is more than the largest artifact gets.
    const late = setTimeout(() => socket.destroy(), chunks * (this.#parts.chunkMs ?? CHUNK_MS));
    try {
      await send();
    } finally {
      clearTimeout(late);
      this.#streams -= 1;
    }
  }

  /**
   * The memory is used again: in a profile of 1 GiB, collecting fresh buffers took 1.1 of 2.8 busy seconds.
   * @param {OpenBytes} file closed at the end
   * @param {ByteRange} range
   * @param {ServerResponse} response
   * @param {() => void} begin
   */
  async #stream(file, { start, end }, response, begin) {
    const buffer = this.#buffers.pop() ?? Buffer.allocUnsafeSlow(PIECE_BYTES);
    try {
      for (let at = start; at < end; ) {
        const { bytesRead } = await file.read(buffer, 0, Math.min(PIECE_BYTES, end - at), at);
        if (at === start) {
          if (bytesRead === 0) return say(response, 404);
          begin();
        }
        if (bytesRead === 0 || !(await sent(response, buffer.subarray(0, bytesRead)))) {
          response.destroy();
          return;
        }
        at += bytesRead;
      }
      response.end();
      this.#buffers.push(buffer);
    } finally {
      await file.close();
    }
  }
}
