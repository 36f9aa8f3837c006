/**
 * The thread that serves this peer's artifacts to others; plain JavaScript, so that Node 20 runs the same file from
 * `src` (tests) and from `dist`. What is where it asks the main thread; bytes it reads and sends by itself.
 */
import { open } from 'node:fs/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { BulkServer } from './bulk-server.js';

/**
 * @typedef {{ kind: 'start', id: number, port: number, revoked: readonly string[],
 *     own?: import('./peer-certificates.js').OwnCertificate }
 *   | { kind: 'answer', id: number, value: unknown }
 *   | { kind: 'revoke', fingerprints: string[] }
 *   | { kind: 'renew', own: import('./peer-certificates.js').OwnCertificate }
 *   | { kind: 'stop' }} Order
 */

/** @type {Map<number, (value: any) => void>} */
const asked = new Map();
let lastId = 0;
/** @type {BulkServer | undefined} */
let server;

parentPort?.on('message', obey);

/** @param {Order} order */
function obey(order) {
  switch (order.kind) {
    case 'start':
      void start(order);
      return;
    case 'answer':
      asked.get(order.id)?.(order.value);
      asked.delete(order.id);
      return;
    case 'revoke':
      server?.revoke(order.fingerprints);
      return;
    case 'renew':
      server?.renew(order.own);
      return;
    case 'stop':
      void (server?.stop() ?? Promise.resolve()).then(() => parentPort?.close());
  }
}

/** @param {Extract<Order, { kind: 'start' }>} order */
async function start({ id, port, revoked, own }) {
  const source = { find, open: openRange, chunkList };
  server = new BulkServer({ ...workerData, source, port, own });
  server.revoke(revoked);
  try {
    await server.start();
    parentPort?.postMessage({ id, value: server.url });
  } catch (error) {
    const { message, code } = /** @type {NodeJS.ErrnoException} */ (error);
    parentPort?.postMessage({ id, error: { message, code } });
  }
}

/**
 * @param {object} question
 * @returns {Promise<any>}
 */
function ask(question) {
  lastId += 1;
  const id = lastId;
  return new Promise((resolve) => {
    asked.set(id, resolve);
    parentPort?.postMessage({ id, question });
  });
}

/** @param {string} hex */
function find(hex) {
  return ask({ kind: 'find', hex });
}

/** @param {string} hex */
function chunkList(hex) {
  return ask({ kind: 'chunk-list', hex });
}

/**
 * @param {string} hex
 * @param {import('./byte-range.js').ByteRange} range
 */
async function openRange(hex, range) {
  const path = await ask({ kind: 'path', hex, range });
  if (path === undefined) return undefined;
  try {
    return await open(path, 'r');
  } catch {
    // It has just been finished, and has another name now; or it is gone.
    const other = await ask({ kind: 'path', hex, range });
    return other === undefined || other === path ? undefined : await open(other, 'r');
  }
}
