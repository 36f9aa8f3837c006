import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { RegistryError } from './registry-error.ts';
import { BODY_IDLE_MS, UNWANTED_BODY_BYTES_MAX } from './registry-limits.ts';

type Headers = Readonly<Record<string, string | number>>;

/** One request and its answer. */
export class Exchange {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly request: IncomingMessage;
  /** Aborts when the client is gone. */
  readonly signal: AbortSignal;
  readonly #response: ServerResponse;

  constructor(request: IncomingMessage, response: ServerResponse) {
    const [path = '', ...query] = (request.url ?? '').split('?');
    this.request = request;
    this.#response = response;
    this.method = request.method ?? '';
    this.path = path;
    this.query = new URLSearchParams(query.join('?'));
    const gone = new AbortController();
    this.signal = gone.signal;
    response.once('close', () => gone.abort(new Error('the client hung up')));
    response.setHeader('Docker-Distribution-Api-Version', 'registry/2.0');
    // What a browser shows of it is not for it to guess.
    response.setHeader('X-Content-Type-Options', 'nosniff');
  }

  get isAnswered(): boolean {
    return this.#response.headersSent;
  }

  header(name: string): string | undefined {
    const value = this.request.headers[name.toLowerCase()];
    return Array.isArray(value) ? value.join(', ') : value;
  }

  /** The pieces of the request's body; throws when the client stops in the middle. */
  async *body(): AsyncIterable<Uint8Array> {
    this.#watch();
    try {
      yield* this.#pieces();
    } finally {
      this.request.socket.setTimeout(0);
    }
  }

  /** The whole body. Throws a `RegistryError` when it is larger. */
  async text(bytesMax: number): Promise<Buffer> {
    const tooLarge = new RegistryError(
      413,
      'SIZE_INVALID',
      `a manifest may have ${bytesMax} bytes at most`,
    );
    if (Number(this.header('content-length') ?? 0) > bytesMax) throw tooLarge;
    const pieces: Uint8Array[] = [];
    let bytes = 0;
    for await (const piece of this.body()) {
      bytes += piece.length;
      if (bytes > bytesMax) throw tooLarge;
      pieces.push(piece);
    }
    return Buffer.concat(pieces);
  }

  /** An answer without a body, or to `HEAD`. */
  answer(status: number, headers: Headers = {}): void {
    const hasLength = 'Content-Length' in headers || status === 204;
    this.#head(status, hasLength ? headers : { ...headers, 'Content-Length': 0 });
    this.#response.end();
  }

  json(status: number, value: unknown, headers: Headers = {}): void {
    const text = Buffer.from(JSON.stringify(value));
    const type = { 'Content-Type': 'application/json', 'Content-Length': text.length };
    this.#head(status, { ...type, ...headers });
    this.#response.end(this.method === 'HEAD' ? undefined : text);
  }

  /** Sends bytes at the client's pace; rejects when they, or the client, break off. */
  async stream(status: number, headers: Headers, bytes: AsyncIterable<Uint8Array>): Promise<void> {
    this.#head(status, headers);
    this.#watch();
    await pipeline(Readable.from(bytes, { objectMode: false }), this.#response);
  }

  /** Whether nobody is there any more to be answered. */
  get isGone(): boolean {
    return this.signal.aborted || (this.request.destroyed && !this.request.complete);
  }

  /** Tells what went wrong; where an answer has begun it can only be broken off. */
  async fail(error: RegistryError): Promise<void> {
    if (this.isAnswered) {
      this.#response.destroy();
      return;
    }
    const { code, message, detail, status, headers } = error;
    const told = { code, message, ...(detail === undefined ? {} : { detail }) };
    // A client that still sends would meet a closed connection, and never read why.
    await this.#readRest();
    const close = this.request.complete ? {} : { Connection: 'close' };
    this.json(status, { errors: [told] }, { ...headers, ...close });
  }

  async #readRest(): Promise<void> {
    let bytes = 0;
    try {
      for await (const piece of this.body()) {
        bytes += piece.length;
        if (bytes > UNWANTED_BODY_BYTES_MAX) return;
      }
    } catch {
      // Gone: there is nobody to tell.
    }
  }

  /** Whoever leaves before the end must still be able to answer: the connection is not to be destroyed with it. */
  #pieces(): AsyncIterable<Uint8Array> {
    return this.request.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>;
  }

  #head(status: number, headers: Headers): void {
    this.#response.writeHead(status, { ...headers });
  }

  /** Node ends a silent connection by itself; between requests it has a limit of its own. */
  #watch(): void {
    this.request.socket.setTimeout(BODY_IDLE_MS);
  }
}
