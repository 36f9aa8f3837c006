import {
  DOCKER_LIST,
  DOCKER_MANIFEST,
  isLoopbackUrl,
  MANIFEST_BYTES_MAX,
  OCI_INDEX,
  OCI_MANIFEST,
  PortError,
  type UpstreamPlace,
} from '@podmesh/core';
import { parseChallenge } from './parse-challenge.ts';

/** An answer begins, and goes on, within this. */
const STALL_MS = 30_000;
const TOKEN_BYTES_MAX = 64 * 1024;
/** Names of images and of the machine that has them differ there. */
const API_HOSTS: Readonly<Record<string, string>> = { 'docker.io': 'registry-1.docker.io' };
const ACCEPT = [OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST].join(', ');

/** Another registry did not give what it was asked for; names what, and where it was looked for. */
export class UpstreamError extends PortError {
  constructor(what: string, why: string, cause?: unknown) {
    super(`${what} cannot be had: ${why}`, { retryable: false, cause });
  }
}

export interface UpstreamManifest {
  readonly bytes: Buffer;
  readonly contentType: string | undefined;
}

export interface UpstreamOptions {
  /** Overrides `STALL_MS` in tests. */
  readonly stallMs?: number;
}

/**
 * The pull half of the distribution API of another registry, as anybody may use it: with a token where it wants one (the
 * distribution project's token authentication), without a name or a password. Plain HTTP only on this machine.
 */
export class UpstreamRegistry {
  readonly #stallMs: number;
  /** By scope. They are short-lived: one that is refused is asked for again. */
  readonly #tokens = new Map<string, string>();

  constructor({ stallMs = STALL_MS }: UpstreamOptions = {}) {
    this.#stallMs = stallMs;
  }

  /** Undefined: it has none of that name. */
  async manifest(
    place: UpstreamPlace,
    reference: string,
    signal: AbortSignal,
  ): Promise<UpstreamManifest | undefined> {
    const what = `${place.host}/${place.repository}${reference.includes(':') ? '@' : ':'}${reference}`;
    return await this.#watched(what, signal, async (watch) => {
      const path = `manifests/${reference}`;
      const answer = await this.#get(place, { what, path, accept: ACCEPT }, watch);
      if (answer.status === 404) return undefined;
      if (answer.status !== 200) throw refusedBy(place, what, answer.status);
      const bytes = await readBounded(what, answer, MANIFEST_BYTES_MAX, watch);
      return { bytes, contentType: answer.headers.get('content-type') ?? undefined };
    });
  }

  /** The bytes as they come; whoever reads them knows by their digest whether they are the right ones. */
  async *blob(
    place: UpstreamPlace,
    digest: string,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    const what = `part ${digest} of ${place.host}/${place.repository}`;
    const watch = new Watch(this.#stallMs, signal);
    try {
      const answer = await this.#get(place, { what, path: `blobs/${digest}` }, watch);
      if (answer.status !== 200) throw refusedBy(place, what, answer.status);
      for await (const piece of answer.body ?? []) {
        watch.pause();
        yield piece;
        watch.resume();
      }
    } catch (error) {
      throw failureOf(place, what, error, signal);
    } finally {
      watch.pause();
    }
  }

  async #watched<T>(
    what: string,
    signal: AbortSignal,
    work: (watch: Watch) => Promise<T>,
  ): Promise<T> {
    const watch = new Watch(this.#stallMs, signal);
    try {
      return await work(watch);
    } catch (error) {
      throw failureOf(undefined, what, error, signal);
    } finally {
      watch.pause();
    }
  }

  async #get(
    { host, repository }: UpstreamPlace,
    asked: { readonly what: string; readonly path: string; readonly accept?: string },
    watch: Watch,
  ): Promise<Response> {
    const url = `${baseOf(host)}/v2/${repository}/${asked.path}`;
    const scope = `${host} repository:${repository}:pull`;
    const ask = (token: string | undefined): Promise<Response> =>
      fetch(url, {
        // Sent to this host alone: redirections to stores of blobs carry none.
        headers: {
          ...(asked.accept === undefined ? {} : { accept: asked.accept }),
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        },
        signal: watch.signal,
      });
    const answer = await ask(this.#tokens.get(scope));
    if (answer.status !== 401) return answer;
    await answer.body?.cancel();
    const said = answer.headers.get('www-authenticate') ?? '';
    const token = await this.#askForToken({ host, repository }, asked.what, said, watch);
    this.#tokens.set(scope, token);
    return await ask(token);
  }

  async #askForToken(
    place: UpstreamPlace,
    what: string,
    said: string,
    watch: Watch,
  ): Promise<string> {
    const challenge = parseChallenge(said);
    if (challenge === undefined)
      throw new UpstreamError(
        what,
        `${place.host} asks for a name and a password, and has none of ours`,
      );
    const url = new URL(challenge.realm);
    if (url.protocol !== 'https:' && !isLoopbackUrl(url.href))
      throw new UpstreamError(
        what,
        `${place.host} sends for a token to ${url.origin}, unencrypted`,
      );
    url.searchParams.set('scope', challenge.scope ?? `repository:${place.repository}:pull`);
    if (challenge.service !== undefined) url.searchParams.set('service', challenge.service);
    const answer = await fetch(url, { signal: watch.signal });
    if (answer.status !== 200)
      throw new UpstreamError(what, `${url.host} gives no token for it (status ${answer.status})`);
    const text = (await readBounded(what, answer, TOKEN_BYTES_MAX, watch)).toString('utf8');
    const token = tokenIn(text);
    if (token !== undefined) return token;
    throw new UpstreamError(what, `${url.host} answered with something that is no token`);
  }
}

/** Aborts when nothing moves for so long while somebody waits for the other registry. */
class Watch {
  readonly #stop = new AbortController();
  readonly signal: AbortSignal;
  readonly #ms: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(ms: number, outer: AbortSignal) {
    this.#ms = ms;
    this.signal = AbortSignal.any([outer, this.#stop.signal]);
    this.resume();
  }

  pause(): void {
    clearTimeout(this.#timer);
  }

  resume(): void {
    clearTimeout(this.#timer);
    const stall = (): void => this.#stop.abort(new Error(`nothing came for ${this.#ms / 1_000} s`));
    this.#timer = setTimeout(stall, this.#ms);
  }
}

function baseOf(host: string): string {
  const secure = `https://${API_HOSTS[host] ?? host}`;
  const plain = `http://${host}`;
  return isLoopbackUrl(plain) ? plain : secure;
}

function refusedBy({ host }: UpstreamPlace, what: string, status: number): UpstreamError {
  const why = status === 401 || status === 403 ? 'does not give it to everybody' : 'answered';
  return new UpstreamError(what, `${host} ${why} (status ${status})`);
}

function failureOf(
  place: UpstreamPlace | undefined,
  what: string,
  error: unknown,
  signal: AbortSignal,
): unknown {
  if (signal.aborted || error instanceof PortError) return error;
  // What `fetch` throws says no more than that it failed; its cause does.
  const told = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const why = told instanceof Error ? told.message : String(told);
  return new UpstreamError(what, place === undefined ? why : `${place.host}: ${why}`, error);
}

async function readBounded(
  what: string,
  { body }: Response,
  bytesMax: number,
  watch: Watch,
): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of body ?? []) {
    watch.resume();
    bytes += piece.length;
    if (bytes > bytesMax)
      throw new UpstreamError(what, `the answer has more than ${bytesMax} bytes`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

function tokenIn(text: string): string | undefined {
  try {
    const { token, access_token: other }: Record<string, unknown> = Object(JSON.parse(text));
    const found = token ?? other;
    return typeof found === 'string' && /^[\x21-\x7e]+$/.test(found) ? found : undefined;
  } catch {
    return undefined;
  }
}
