/**
 * The thread of ThreadedLeaseKeeper; plain JavaScript, so that Node 20 runs the same file from `src`
 * (tests) and from `dist`. It has a connection of its own and does nothing but extend claims: while
 * it is not confirmed, time runs against us, and whoever holds the claim is told before the server
 * can have given it to somebody else.
 */
import { uptime } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { connect, credsAuthenticator } from '@nats-io/transport-node';
import { LeaseTable } from './lease-table.js';

/**
 * @typedef {object} WorkerSettings
 * @property {import('@nats-io/transport-node').ConnectionOptions} connection
 * @property {string} [credentials] a key cannot be given to a thread as anything but its text
 * @property {number} extendMs
 * @property {number} giveUpMs
 * @property {Int32Array} counts of extensions confirmed and unanswered, and of claims lost, in this order
 * @property {SharedArrayBuffer} table
 */
/** @typedef {{ kind: 'look' } | { kind: 'servers', servers: string[] } | { kind: 'credentials', credentials: string } | { kind: 'stop' }} Order */
/** @typedef {{ ticket: string, confirmedAt: number, turn?: NodeJS.Timeout, watch?: NodeJS.Timeout }} Kept */

const WORK_IN_PROGRESS = '+WPI';
const RECONNECT_MS = 250;
/** The queue has just handed the claim out: most tasks' claims are settled before they need extending. */
const FIRST_MS = Math.min(1_000, workerData.extendMs / 4);
/** How soon a new claim is seen here; many are settled by then. */
const LOOK_MS = FIRST_MS / 4;

/** Milliseconds that go on while the machine sleeps, which those of `performance.now()` do not on Linux. */
const nowMs = () => uptime() * 1000;

/** @type {WorkerSettings} */
const settings = workerData;
const table = new LeaseTable(settings.table);
/** @type {Map<number, Kept>} */
const kept = new Map();
/** The id that was last seen in each slot. @type {number[]} */
const seen = [];
/** @type {NodeJS.Timeout | undefined} */
let looking;
/** @type {import('@nats-io/transport-node').NatsConnection | undefined} */
let connection;
let connected = false;
let stopping = false;

parentPort?.on('message', obey);
void dial();

async function dial() {
  while (!stopping && connection === undefined) {
    try {
      connection = await connect({ ...settings.connection, ...proof() });
      connected = true;
      void watchConnection(connection);
      for (const id of kept.keys()) void extend(id);
    } catch {
      await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS));
    }
  }
  if (stopping) await leave();
}

function proof() {
  if (settings.credentials === undefined) return {};
  // Each time it connects: they may be others by then.
  return {
    /** @param {string} [nonce] */
    authenticator: (nonce) =>
      credsAuthenticator(new TextEncoder().encode(settings.credentials))(nonce),
  };
}

/**
 * Requests made while disconnected would be sent after the reconnect, and extend claims that were
 * given up meanwhile.
 * @param {import('@nats-io/transport-node').NatsConnection} nc
 */
async function watchConnection(nc) {
  for await (const status of nc.status()) {
    if (status.type === 'disconnect') connected = false;
    if (status.type !== 'reconnect') continue;
    connected = true;
    for (const id of kept.keys()) void extend(id);
  }
  connected = false;
}

/** @param {Order} order */
function obey(order) {
  switch (order.kind) {
    case 'look':
      if (!stopping) look();
      return;
    case 'servers':
      settings.connection = { ...settings.connection, servers: order.servers };
      connection?.setServers(order.servers);
      return;
    case 'credentials':
      settings.credentials = order.credentials;
      return;
    case 'stop':
      stopping = true;
      clearTimeout(looking);
      for (const id of [...kept.keys()]) drop(id);
      void leave();
  }
}

/** Looks again while there is something to keep, and when it is woken. */
function look() {
  clearTimeout(looking);
  takeNew();
  if (kept.size === 0) {
    table.sleep();
    takeNew();
    if (kept.size === 0) return;
    table.stayAwake();
  }
  looking = setTimeout(look, LOOK_MS);
}

/** What came since the last look, and what went. */
function takeNew() {
  for (const { slot, id } of table.ids()) {
    const before = seen[slot] ?? 0;
    if (before === id) continue;
    drop(before);
    seen[slot] = 0;
    const entry = id === 0 ? undefined : table.read(slot, id);
    if (entry === undefined) continue;
    seen[slot] = id;
    kept.set(id, { ticket: entry.ticket, confirmedAt: entry.atMs });
    setWatch(id);
    setTimeout(() => void extend(id), FIRST_MS);
  }
}

/**
 * One turn for one claim, which plans the next one. The server confirms every extension.
 * @param {number} id
 */
async function extend(id) {
  const claim = kept.get(id);
  if (claim === undefined || isLost(id, claim)) return;
  clearTimeout(claim.turn);
  const asked = nowMs();
  let nextMs = settings.extendMs / 4;
  try {
    if (connection !== undefined && connected) {
      await connection.request(claim.ticket, WORK_IN_PROGRESS, { timeout: settings.extendMs });
      if (kept.get(id) !== claim) return;
      Atomics.add(settings.counts, 0, 1);
      claim.confirmedAt = Math.max(asked, claim.confirmedAt);
      setWatch(id);
      nextMs = settings.extendMs;
    }
  } catch {
    Atomics.add(settings.counts, 1, 1);
    // Not confirmed: the watch runs on, the next turn comes soon.
  }
  clearTimeout(claim.turn);
  if (kept.get(id) === claim) claim.turn = setTimeout(() => void extend(id), nextMs);
}

/**
 * Reports the loss in time even when no answer and no other timer would.
 * @param {number} id
 */
function setWatch(id) {
  const claim = kept.get(id);
  if (claim === undefined) return;
  clearTimeout(claim.watch);
  const leftMs = settings.giveUpMs - (nowMs() - claim.confirmedAt);
  claim.watch = setTimeout(
    () => {
      if (!isLost(id, claim)) setWatch(id);
    },
    Math.max(10, leftMs),
  );
}

/**
 * @param {number} id
 * @param {Kept} claim
 */
function isLost(id, claim) {
  if (kept.get(id) !== claim) return true;
  if (nowMs() - claim.confirmedAt < settings.giveUpMs) return false;
  drop(id);
  Atomics.add(settings.counts, 2, 1);
  parentPort?.postMessage({ kind: 'lost', id });
  return true;
}

/** @param {number} id */
function drop(id) {
  const claim = kept.get(id);
  clearTimeout(claim?.turn);
  clearTimeout(claim?.watch);
  kept.delete(id);
}

async function leave() {
  await connection?.close().catch(() => undefined);
  parentPort?.close();
}
