import { type FileHandle, open } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  type ArtifactId,
  artifactId,
  CHUNK_BYTES,
  type ChunkSource,
  type PeerId,
  UPLOAD_STREAMS_MAX,
} from '@podmesh/core';
import { type ByteRange, parseByteRange } from './byte-range.ts';
import { helloProof, isSameSecret } from './hello-proof.ts';

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
/** Lengths of artifacts that are remembered. */
const LENGTHS_MAX = 1_000;

const ARTIFACT = /^\/v1\/artifact\/([0-9a-f]{64})(\/chunks)?$/;
const HELLO = /^\/v1\/hello\?nonce=([0-9a-f]{32,128})$/;

export interface BulkServerParts {
  readonly peer: PeerId;
  /** Whoever knows it may fetch. */
  readonly key: string;
  readonly source: ChunkSource;
  /**
   * The file of an artifact that is here as a whole: such are sent without being copied into fresh memory. What has
   * none is served in ranges only. Without this, everything in `source` counts as whole.
   */
  readonly fileOf?: (artifact: ArtifactId) => string | undefined;
  /** An address of this machine. */
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
  /** Overrides `CHUNK_MS` in tests. */
  readonly chunkMs?: number;
}

/**
 * What this peer has, for other peers and for `curl`: `GET|HEAD /v1/artifact/<hex>`, with one `Range`, and
 * `/v1/artifact/<hex>/chunks`. Paths never name files: only a digest can be asked for. Everything is bounded,
 * so that whoever asks for too much waits, and nothing else on this machine does.
 */
export class BulkServer {
  readonly #parts: BulkServerParts;
  readonly #server: Server;
  readonly #lengths = new Map<ArtifactId, number>();
  /** Not in use; as many as there were streams of files at the same time. */
  readonly #buffers: Buffer[] = [];
  #streams = 0;

  constructor(parts: BulkServerParts) {
    this.#parts = parts;
    this.#server = createServer(
      {
        headersTimeout: HEAD_MS,
        requestTimeout: HEAD_MS,
        keepAliveTimeout: IDLE_MS,
        connectionsCheckingInterval: CHECK_MS,
        noDelay: true,
      },
      (request, response) => {
        // Asked before the last answer has left: it has no socket, so that nobody would tell when the asker is gone.
        if (response.socket === null) request.socket.destroy();
        else void this.#answer(request, response);
      },
    );
    this.#server.maxConnections = SOCKETS_MAX;
    this.#server.setTimeout(IDLE_MS, (socket) => socket.destroy());
  }

  /** Resolves when it listens; rejects when it cannot. */
  async start(): Promise<void> {
    const { host, port } = this.#parts;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port }, () => {
        this.#server.removeListener('error', reject);
        // A connection that could not be accepted, for want of files say: who wanted it tries again, or elsewhere.
        this.#server.on('error', () => undefined);
        resolve();
      });
    });
  }

  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  /** Where it listens. */
  get url(): string {
    const { address, port, family } = this.#server.address() as AddressInfo;
    return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
  }

  /** Artifacts, parts of them, or lists of their chunks, that are being sent. */
  get streams(): number {
    return this.#streams;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      await this.#route(request, response);
    } catch {
      // A disk that cannot be read is, to others, a peer that has nothing; the disk's own users tell of it.
      if (response.headersSent) response.destroy();
      else say(response, 404);
    }
  }

  async #route(request: IncomingMessage, response: ServerResponse): Promise<void> {
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
    const artifact = artifactId(`sha256:${hex}`);
    if (chunks === undefined) return this.#serve(artifact, request, response);
    const list = await this.#parts.source.chunkList(artifact);
    if (list === undefined) return say(response, 404);
    if (method === 'HEAD') return sayJson(response, list);
    await this.#hold(response, 1, () => sendJson(response, list));
  }

  async #serve(
    artifact: ArtifactId,
    { method, headers }: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const { fileOf } = this.#parts;
    const path = fileOf?.(artifact);
    const isWhole = fileOf === undefined || path !== undefined;
    // Of what is not whole only chunks were checked, against a list that nothing proves: never passed off as the whole.
    if (!isWhole && (method === 'HEAD' || headers.range === undefined)) return say(response, 404);
    const bytes = await this.#lengthOf(artifact, isWhole);
    if (bytes === undefined) return say(response, 404);
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
    const chunks = Math.ceil((range.end - range.start) / CHUNK_BYTES);
    await this.#hold(response, chunks, async () => {
      const begin = () => response.writeHead(status, head);
      const file = path === undefined ? undefined : await open(path, 'r').catch(() => undefined);
      if (file === undefined) await this.#stream(artifact, bytes, range, response, begin);
      else await this.#streamFile(file, range, response, begin);
    });
  }

  /** Sends when there is a stream free for it, and has sent when its time is over. */
  async #hold(response: ServerResponse, chunks: number, send: () => Promise<void>): Promise<void> {
    if (this.#streams >= UPLOAD_STREAMS_MAX) {
      const after = { 'retry-after': '1', 'retry-after-ms': String(BUSY_MS) };
      return say(response, 429, after);
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

  /** The memory is used again: in a profile of 1 GiB, collecting fresh buffers took 1.1 of 2.8 busy seconds. */
  async #streamFile(
    file: FileHandle,
    { start, end }: ByteRange,
    response: ServerResponse,
    begin: () => void,
  ): Promise<void> {
    const buffer = this.#buffers.pop() ?? Buffer.allocUnsafeSlow(PIECE_BYTES);
    try {
      begin();
      for (let at = start; at < end; ) {
        const { bytesRead } = await file.read(buffer, 0, Math.min(PIECE_BYTES, end - at), at);
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

  /** One piece of a chunk's size in memory at a time; the next is read when this one is with the kernel. */
  async #stream(
    artifact: ArtifactId,
    bytes: number,
    { start, end }: ByteRange,
    response: ServerResponse,
    begin: () => void,
  ): Promise<void> {
    for (let at = start; at < end; ) {
      const index = Math.floor(at / CHUNK_BYTES);
      const offset = index * CHUNK_BYTES;
      const length = Math.min(CHUNK_BYTES, bytes - offset);
      const chunk = await this.#parts.source.read({ artifact, index, offset, bytes: length });
      if (chunk?.length !== length) {
        this.#lengths.delete(artifact);
        if (at === start) say(response, 404);
        else response.destroy();
        return;
      }
      if (at === start) begin();
      const until = Math.min(end, offset + length);
      if (!(await sent(response, chunk.subarray(at - offset, until - offset)))) return;
      at = until;
    }
    response.end();
  }

  /** Remembered of wholes only: what is told of others may turn out to be a lie. */
  async #lengthOf(artifact: ArtifactId, isWhole: boolean): Promise<number | undefined> {
    const known = isWhole ? this.#lengths.get(artifact) : undefined;
    if (known !== undefined) return known;
    const list = await this.#parts.source.chunkList(artifact);
    if (list === undefined) return undefined;
    if (!isWhole) return list.bytes;
    if (this.#lengths.size >= LENGTHS_MAX) this.#lengths.clear();
    this.#lengths.set(artifact, list.bytes);
    return list.bytes;
  }
}

/** Whether the kernel has taken it; false when the other side is gone. */
function sent(response: ServerResponse, bytes: Uint8Array): Promise<boolean> {
  return new Promise((resolve) => {
    const { socket } = response.req;
    if (response.destroyed || socket.destroyed) return resolve(false);
    const closed = (): void => resolve(false);
    socket.once('close', closed);
    response.write(bytes, (error) => {
      socket.removeListener('close', closed);
      resolve(error === null || error === undefined);
    });
  });
}

function say(
  response: ServerResponse,
  status: number,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { ...headers, 'content-length': '0' }).end();
}

function sayJson(response: ServerResponse, answer: unknown): void {
  const body = beginJson(response, answer);
  response.end(response.req.method === 'HEAD' ? undefined : body);
}

/** Resolves when the kernel has taken it. */
async function sendJson(response: ServerResponse, answer: unknown): Promise<void> {
  if (await sent(response, beginJson(response, answer))) response.end();
}

function beginJson(response: ServerResponse, answer: unknown): Buffer {
  const body = Buffer.from(JSON.stringify(answer));
  response.writeHead(200, {
    'content-type': 'application/json',
    'content-length': String(body.length),
  });
  return body;
}
