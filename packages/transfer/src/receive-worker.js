/**
 * The thread that receives artifacts from other peers; plain JavaScript, so that Node 20 runs the same file from `src`
 * (tests) and from `dist`. Whom to ask for what is decided in the main thread; bytes go from the kernel into memory
 * that the threads share, and never through that.
 */
import { randomBytes } from 'node:crypto';
import { parentPort } from 'node:worker_threads';
import { helloProof, isSameSecret } from './hello-proof.js';
import { HttpConnection, HttpProblem } from './http-connection.js';
import { identityTowards } from './peer-certificates.js';

/** A peer that is on the same network has answered long before. */
const HELLO_MS = 1_500;
/** Addresses of one peer that are tried. */
const URLS_MAX = 4;
/** Unused connections to one peer that are kept. */
const IDLE_MAX = 4;

/** @typedef {{ connection: HttpConnection, key: string, again: boolean }} Proven */
/**
 * @typedef {{ kind: 'open', id: number, peer: string, urls: string[], key: string, revoked: string[], own?: import('./peer-certificates.js').OwnCertificate }
 *   | { kind: 'is-open', id: number, peer: string }
 *   | { kind: 'get', id: number, peer: string, path: string, range?: string, into?: Uint8Array, stallMs: number }
 *   | { kind: 'abort', id: number }
 *   | { kind: 'close' }
 *   | { kind: 'stop' }} Order
 */
/**
 * @typedef {{ kind: 'answer', status: number, afterMs: string | undefined, body: Uint8Array | undefined }
 *   | { kind: 'not-open' }
 *   | { kind: 'problem', problem: import('./http-connection.js').HttpProblemKind, message: string }
 *   | { kind: 'aborted' }} Got what came of a `get`; `body`: absent where it filled what was given
 */

/** Ways to other peers that are proven to be theirs, and unused. @type {Map<string, Proven[]>} */
const idle = new Map();
/** @type {Map<number, AbortController>} */
const stops = new Map();

parentPort?.on('message', obey);

/** @param {Order} order */
function obey(order) {
  switch (order.kind) {
    case 'open':
      void answer(order.id, (signal) => open(order, signal));
      return;
    case 'is-open':
      parentPort?.postMessage({ id: order.id, value: usable(order.peer).length > 0 });
      return;
    case 'get':
      void answer(order.id, (signal) => get(order, signal));
      return;
    case 'abort':
      stops.get(order.id)?.abort();
      return;
    case 'close':
      closeIdle();
      return;
    case 'stop':
      closeIdle();
      for (const stop of stops.values()) stop.abort();
      parentPort?.close();
  }
}

/**
 * @param {number} id
 * @param {(signal: AbortSignal) => Promise<unknown>} work
 */
async function answer(id, work) {
  const stop = new AbortController();
  stops.set(id, stop);
  try {
    parentPort?.postMessage({ id, value: await work(stop.signal) });
  } catch (error) {
    const { message, code } = /** @type {NodeJS.ErrnoException} */ (error);
    parentPort?.postMessage({ id, error: { message, code } });
  } finally {
    stops.delete(id);
  }
}

/**
 * @param {Extract<Order, { kind: 'get' }>} order
 * @param {AbortSignal} signal
 * @returns {Promise<Got>}
 */
async function get({ peer, path, range, into, stallMs }, signal) {
  for (;;) {
    const proven = usable(peer).pop();
    if (proven === undefined) return { kind: 'not-open' };
    const { connection, key, again } = proven;
    const headers = { authorization: `Bearer ${key}`, ...(range === undefined ? {} : { range }) };
    try {
      const {
        status,
        headers: heads,
        body,
      } = await connection.request({ path, headers, into }, signal, stallMs);
      keep(peer, proven);
      const own = body === into ? undefined : body;
      return { kind: 'answer', status, afterMs: heads.get('retry-after-ms'), body: own };
    } catch (error) {
      if (signal.aborted) return { kind: 'aborted' };
      if (!(error instanceof HttpProblem)) throw error;
      // It may have been closed by the other side while nobody used it.
      if (again && error.untouched && error.kind === 'closed') continue;
      return { kind: 'problem', problem: error.kind, message: error.message };
    }
  }
}

/**
 * Those that nobody has closed meanwhile.
 * @param {string} peer
 * @returns {Proven[]}
 */
function usable(peer) {
  const open = (idle.get(peer) ?? []).filter(({ connection }) => connection.isUsable);
  if (open.length === 0) idle.delete(peer);
  else idle.set(peer, open);
  return open;
}

/**
 * @param {string} peer
 * @param {Proven} proven
 */
function keep(peer, proven) {
  if (!proven.connection.isUsable) return;
  const open = usable(peer);
  if (open.length < IDLE_MAX) idle.set(peer, [...open, { ...proven, again: true }]);
  else proven.connection.close();
}

function closeIdle() {
  for (const open of idle.values()) for (const { connection } of open) connection.close();
  idle.clear();
}

/**
 * All addresses at once; the first that proves to be the peer's is kept.
 * @param {Extract<Order, { kind: 'open' }>} order
 * @param {AbortSignal} signal
 * @returns {Promise<boolean>} whether there is one
 */
async function open({ peer, urls, key, revoked, own }, signal) {
  const won = new AbortController();
  const stop = AbortSignal.any([signal, won.signal]);
  const tries = urls.slice(0, URLS_MAX).map((url) => greet({ peer, key, revoked, own }, url, stop));
  try {
    const first = await Promise.any(tries);
    for (const greeted of tries) {
      greeted.then((other) => other !== first && other.close()).catch(() => undefined);
    }
    idle.set(peer, [...usable(peer), { connection: first, key, again: false }]);
    return true;
  } catch {
    return false;
  } finally {
    won.abort();
  }
}

/**
 * @param {{ peer: string, key: string, revoked: readonly string[], own: import('./peer-certificates.js').OwnCertificate | undefined }} whom
 * @param {string} address
 * @param {AbortSignal} signal
 * @returns {Promise<HttpConnection>}
 */
async function greet({ peer, key, revoked, own }, address, signal) {
  const url = new URL(address);
  // A peer with certificates speaks with nobody who has none, whatever the directory says.
  const scheme = own === undefined ? 'http:' : 'https:';
  if (url.protocol !== scheme) throw new HttpProblem('unreachable', `not to be dialled: ${url}`);
  const tls = own === undefined ? undefined : identityTowards(peer, own, revoked);
  const connection = await HttpConnection.open(url, HELLO_MS, signal, tls);
  try {
    const nonce = randomBytes(32).toString('hex');
    const hello = await connection.request({ path: `/v1/hello?nonce=${nonce}` }, signal, HELLO_MS);
    const proof = hello.status === 200 ? proofIn(hello.body) : undefined;
    if (proof !== undefined && isSameSecret(proof, helloProof(key, peer, nonce))) return connection;
    throw new HttpProblem('unreachable', `${url.host} is not peer ${peer}`);
  } catch (error) {
    connection.close();
    throw error;
  }
}

/**
 * @param {Uint8Array} body
 * @returns {string | undefined}
 */
function proofIn(body) {
  try {
    const { proof } = JSON.parse(Buffer.from(body).toString('utf8')) ?? {};
    return typeof proof === 'string' ? proof : undefined;
  } catch {
    return undefined;
  }
}
