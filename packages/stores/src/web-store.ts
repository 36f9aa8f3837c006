import { createReadStream } from 'node:fs';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { pipeline } from 'node:stream';
import { ExternalStoreError, refusedUrl } from '@podmesh/core';
import { type Opened, type ReadTimes, resumingRead } from './resuming-read.ts';
import { StallWatch } from './stall-watch.ts';
import { failureOfConnection, failureOfStatus } from './store-failure.ts';
import { ANSWER_MS, STALL_BYTES_MIN, STALL_MS } from './store-limits.ts';
import { ask, getFollowing } from './web-request.ts';

/** A URL, with what to call it: it may be a credential itself. */
export interface WebPlace {
  readonly where: string;
  readonly url: string;
  readonly authorization?: string;
}

/** The bytes behind a URL. */
export function readWeb(
  place: WebPlace,
  signal: AbortSignal,
  times?: ReadTimes,
): AsyncIterable<Uint8Array> {
  const { where } = place;
  checkUrl(place);
  const open = async (start: number, etag: string | undefined, stop: AbortSignal) => {
    const headers = {
      'accept-encoding': 'identity',
      ...authorizationOf(place),
      ...(start === 0 ? {} : { range: `bytes=${start}-` }),
      ...(start === 0 || etag === undefined ? {} : { 'if-range': etag }),
    };
    const answer = await getFollowing({ where, url: place.url, headers, signal: stop });
    return openedBy(where, answer, start);
  };
  return resumingRead(where, open, signal, times);
}

/** PUTs a file; redirections are not followed. */
export async function writeWeb(
  place: WebPlace,
  file: { readonly path: string; readonly bytes: number },
  outer: AbortSignal,
): Promise<void> {
  const { where } = place;
  checkUrl(place);
  const watch = new StallWatch(STALL_MS, STALL_BYTES_MIN);
  const signal = AbortSignal.any([outer, watch.signal]);
  const headers = { ...authorizationOf(place), 'content-length': String(file.bytes) };
  try {
    const send = (request: ClientRequest): void => sendFile(file.path, request, watch);
    const answer = await ask(where, new URL(place.url), { method: 'PUT', headers, signal }, send);
    answer.resume();
    const { statusCode = 0 } = answer;
    if (statusCode < 200 || statusCode > 299) throw failureOfStatus(where, statusCode);
  } catch (error) {
    outer.throwIfAborted();
    throw error instanceof ExternalStoreError ? error : failureOfConnection(where, error);
  } finally {
    watch.end();
  }
}

function sendFile(path: string, request: ClientRequest, watch: StallWatch): void {
  const content = createReadStream(path);
  content.on('data', ({ length }) => watch.note(length));
  // The request itself tells of whatever goes wrong.
  pipeline(content, request, (error) => {
    if (error) request.destroy(error);
  });
  request.setTimeout(ANSWER_MS);
}

function openedBy(where: string, answer: IncomingMessage, asked: number): Opened {
  const { statusCode = 0, headers } = answer;
  if (statusCode !== 200 && statusCode !== 206) {
    answer.destroy();
    throw failureOfStatus(where, statusCode);
  }
  const range = /^bytes (\d+)-\d+\/(\d+)$/.exec(headers['content-range'] ?? '');
  const start = statusCode === 206 ? Number(range?.[1] ?? asked) : 0;
  const length = headers['content-length'];
  const whole = statusCode === 206 ? range?.[2] : length;
  const { etag } = headers;
  return {
    start,
    ...(whole === undefined ? {} : { bytes: Number(whole) }),
    // A weak one does not promise the same bytes.
    ...(etag === undefined || etag.startsWith('W/') ? {} : { etag }),
    body: answer,
  };
}

function authorizationOf({ authorization }: WebPlace): Record<string, string> {
  return authorization === undefined ? {} : { authorization };
}

function checkUrl({ where, url }: WebPlace): void {
  const finding = refusedUrl(url);
  const problem = URL.canParse(url) ? finding?.problem : 'it is no address';
  if (problem === undefined) return;
  throw new ExternalStoreError('failed', `${where} cannot be used: ${problem}`, {
    retryable: false,
  });
}
