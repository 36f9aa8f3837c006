/**
 * The thread of BytesThread; plain JavaScript, so that Node 20 runs the same file from `src` (tests) and from
 * `dist`. It hashes and writes where the main thread only decides. Long work is done in slices, between which other
 * requests have their turn.
 */
import { createHash } from 'node:crypto';
import { closeSync, fstatSync, openSync, readSync, writeSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';

/** @typedef {{ sha256: string, bytes: number, digests: string[] }} FileHash */
/** @typedef {{ offset: number, bytes: number, sha256: string }} Range */
/**
 * @typedef {object} Following A file that is hashed in order, as far as it is known to be right.
 * @property {string} path
 * @property {number | undefined} descriptor
 * @property {import('node:crypto').Hash} whole
 * @property {import('node:crypto').Hash | undefined} chunk
 * @property {number} chunkBytes 0: no chunk list is wanted
 * @property {string[]} digests
 * @property {number} hashed
 * @property {number} target
 * @property {Promise<void> | undefined} running
 * @property {unknown} error
 */
/**
 * @typedef {{ kind: 'follow', key: number, path: string, chunkBytes: number }
 *   | { kind: 'advance', key: number, to: number }
 *   | { kind: 'forget', key: number }
 *   | { kind: 'finish', id: number, key: number, to: number }
 *   | { kind: 'hash-file', id: number, path: string, chunkBytes: number }
 *   | { kind: 'matching', id: number, path: string, ranges: Range[] }
 *   | { kind: 'put', id: number, path: string, offset: number, sha256: string, bytes: Uint8Array }
 *   | { kind: 'stop' }} Order
 */

const SLICE_BYTES = 1024 * 1024;
/**
 * Written as one. The kernel takes memory for its cache in pieces of this size: larger ones it must often get from the host
 * of a virtual machine, which costs several times what the copy does.
 */
const WRITE_BYTES = 16 * 1024;
/** One for all: it is never in use over a turn. */
const slice = Buffer.allocUnsafeSlow(SLICE_BYTES);
/** @type {Map<number, Following>} */
const followed = new Map();

parentPort?.on('message', obey);

/** @param {Order} order */
function obey(order) {
  switch (order.kind) {
    case 'follow':
      followed.set(order.key, newFollowing(order.path, order.chunkBytes));
      return;
    case 'advance':
      advance(followed.get(order.key), order.to);
      return;
    case 'forget':
      forget(order.key);
      return;
    case 'finish':
      void answer(order.id, () => finish(order.key, order.to));
      return;
    case 'hash-file':
      void answer(order.id, () => hashFile(order.path, order.chunkBytes));
      return;
    case 'matching':
      void answer(order.id, () => matching(order.path, order.ranges));
      return;
    case 'put':
      void answer(order.id, async () => put(order));
      return;
    case 'stop':
      parentPort?.close();
  }
}

/**
 * @param {number} id
 * @param {() => Promise<unknown>} work
 */
async function answer(id, work) {
  try {
    parentPort?.postMessage({ id, value: await work() });
  } catch (error) {
    const { message, code } = /** @type {NodeJS.ErrnoException} */ (error);
    parentPort?.postMessage({ id, error: { message, code } });
  }
}

/**
 * @param {string} path
 * @param {number} chunkBytes
 * @returns {Following}
 */
function newFollowing(path, chunkBytes) {
  return {
    path,
    descriptor: undefined,
    whole: createHash('sha256'),
    chunk: undefined,
    chunkBytes,
    digests: [],
    hashed: 0,
    target: 0,
    running: undefined,
    error: undefined,
  };
}

/**
 * @param {Following | undefined} file
 * @param {number} to
 */
function advance(file, to) {
  if (file === undefined) return;
  file.target = Math.max(file.target, to);
  file.running ??= catchUp(file).finally(() => {
    file.running = undefined;
  });
}

/** @param {Following} file */
async function catchUp(file) {
  try {
    while (file.hashed < file.target && file.error === undefined) {
      hashSlice(file);
      await turn();
    }
  } catch (error) {
    // Told by whoever asks for the result.
    file.error = error;
  }
}

/**
 * A slice never reaches over the end of a chunk.
 * @param {Following} file
 */
function hashSlice(file) {
  file.descriptor ??= openSync(file.path, 'r');
  const toChunkEnd =
    file.chunkBytes === 0 ? SLICE_BYTES : file.chunkBytes - (file.hashed % file.chunkBytes);
  const wanted = Math.min(SLICE_BYTES, toChunkEnd, file.target - file.hashed);
  const count = readSync(file.descriptor, slice, 0, wanted, file.hashed);
  if (count === 0) throw new Error(`${file.path} is shorter than what was written`);
  const bytes = slice.subarray(0, count);
  file.whole.update(bytes);
  file.hashed += count;
  if (file.chunkBytes === 0) return;
  file.chunk ??= createHash('sha256');
  file.chunk.update(bytes);
  if (file.hashed % file.chunkBytes === 0) endChunk(file);
}

/** @param {Following} file */
function endChunk(file) {
  if (file.chunk === undefined) return;
  file.digests.push(file.chunk.digest('hex'));
  file.chunk = undefined;
}

/**
 * @param {number} key
 * @param {number} to
 * @returns {Promise<FileHash>}
 */
async function finish(key, to) {
  const file = followed.get(key);
  if (file === undefined) throw new Error('broken invariant: nothing is followed under this key');
  try {
    return await finishFile(file, to);
  } finally {
    forget(key);
  }
}

/**
 * @param {Following} file
 * @param {number} to
 * @returns {Promise<FileHash>}
 */
async function finishFile(file, to) {
  while (file.hashed < to && file.error === undefined) {
    advance(file, to);
    await file.running;
  }
  if (file.error !== undefined) throw file.error;
  endChunk(file);
  return { sha256: file.whole.digest('hex'), bytes: file.hashed, digests: file.digests };
}

/** @param {number} key */
function forget(key) {
  const file = followed.get(key);
  followed.delete(key);
  if (file !== undefined) release(file);
}

/** @param {Following} file */
function release(file) {
  file.error ??= new Error('the file is not followed any more');
  if (file.descriptor !== undefined) closeSync(file.descriptor);
  file.descriptor = undefined;
}

/**
 * @param {string} path
 * @param {number} chunkBytes
 * @returns {Promise<FileHash>}
 */
async function hashFile(path, chunkBytes) {
  const file = newFollowing(path, chunkBytes);
  try {
    file.descriptor = openSync(path, 'r');
    return await finishFile(file, fstatSync(file.descriptor).size);
  } finally {
    release(file);
  }
}

/**
 * @param {string} path
 * @param {Range[]} ranges
 * @returns {Promise<boolean[]>} whether the bytes of each range have its digest
 */
async function matching(path, ranges) {
  const descriptor = openSync(path, 'r');
  try {
    const matches = [];
    for (const range of ranges) matches.push(await hasDigest(descriptor, range));
    return matches;
  } finally {
    closeSync(descriptor);
  }
}

/**
 * @param {number} descriptor
 * @param {Range} range
 */
async function hasDigest(descriptor, { offset, bytes, sha256 }) {
  const hash = createHash('sha256');
  for (let at = 0; at < bytes; ) {
    const count = readSync(descriptor, slice, 0, Math.min(SLICE_BYTES, bytes - at), offset + at);
    if (count === 0) return false;
    hash.update(slice.subarray(0, count));
    at += count;
    await turn();
  }
  return hash.digest('hex') === sha256;
}

/**
 * Writes the bytes if they are the right ones.
 * @param {{ path: string, offset: number, sha256: string, bytes: Uint8Array }} chunk
 */
function put({ path, offset, sha256, bytes }) {
  if (createHash('sha256').update(bytes).digest('hex') !== sha256) return false;
  const descriptor = openSync(path, 'r+');
  try {
    for (let at = 0; at < bytes.length; ) {
      const piece = Math.min(WRITE_BYTES, bytes.length - at);
      at += writeSync(descriptor, bytes, at, piece, offset + at);
    }
    return true;
  } finally {
    closeSync(descriptor);
  }
}

/** @returns {Promise<void>} */
function turn() {
  return new Promise((resolve) => setImmediate(resolve));
}
