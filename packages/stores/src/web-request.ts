import http, { type IncomingMessage, type RequestOptions } from 'node:http';
import https from 'node:https';
import { ExternalStoreError, isLoopbackUrl, refusedUrl } from '@podmesh/core';
import { failureOfConnection } from './store-failure.ts';
import { ANSWER_MS, CONNECT_MS, REDIRECTS_MAX } from './store-limits.ts';

export interface WebRequest {
  readonly where: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/**
 * GET, through at most `REDIRECTS_MAX` redirections, each to an address that the document could name as well. What
 * lets us in at the first host is not shown to another.
 */
export async function getFollowing({
  where,
  url,
  headers,
  signal,
}: WebRequest): Promise<IncomingMessage> {
  let at = new URL(url);
  for (let hops = 0; hops <= REDIRECTS_MAX; hops += 1) {
    const isHome = at.origin === new URL(url).origin;
    const { authorization: _, ...others } = headers;
    const answer = await ask(where, at, {
      method: 'GET',
      headers: isHome ? headers : others,
      signal,
    });
    const { statusCode = 0 } = answer;
    const { location } = answer.headers;
    if (![301, 302, 303, 307, 308].includes(statusCode) || location === undefined) return answer;
    answer.destroy();
    if (!URL.canParse(location, at.href)) throw redirected(where, 'to what is no address');
    at = new URL(location, at);
    const problem = refusedHop(url, `${at.origin}/`);
    if (problem !== undefined) throw redirected(where, `where it may not: ${problem}`);
  }
  throw redirected(where, `more than ${REDIRECTS_MAX} times`);
}

/** Another machine may not send us to a program of our own, which trusts who is on this machine. */
export function refusedHop(from: string, to: string): string | undefined {
  if (isLoopbackUrl(to) && !isLoopbackUrl(from)) return 'to this machine itself';
  return refusedUrl(to)?.problem;
}

function redirected(where: string, how: string): ExternalStoreError {
  return new ExternalStoreError('failed', `${where} redirects ${how}`, { retryable: false });
}

/** One request; resolves with its answer. `send` writes the body. */
export function ask(
  where: string,
  url: URL,
  options: RequestOptions,
  send: (request: http.ClientRequest) => void = (request) => request.end(),
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const { request: open } = url.protocol === 'https:' ? https : http;
    const request = open(url, options, resolve);
    if (options.method === 'GET') request.setTimeout(ANSWER_MS, () => request.destroy(timedOut()));
    limitConnecting(request);
    request.on('error', (error) => reject(failureOfConnection(where, error)));
    send(request);
  });
}

/** A host that is not there would take the system minutes to give up. */
function limitConnecting(request: http.ClientRequest): void {
  const late = setTimeout(() => request.destroy(timedOut()), CONNECT_MS);
  const ready = (): void => clearTimeout(late);
  request.once('close', ready);
  request.once('socket', (socket) => {
    if (socket.connecting) socket.once('connect', ready);
    else ready();
  });
}

const timedOut = (): Error => new DOMException('no answer', 'TimeoutError');
