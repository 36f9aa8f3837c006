import { createHash } from 'node:crypto';
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ArtifactId, CHUNK_BYTES, type OutputEntry } from '@podmesh/core';
import { sampleArtifact } from '@podmesh/testkit';
import { onTestFinished } from 'vitest';
import { DiskStore, type DiskStoreOptions } from './disk-store.ts';
import { WrongBytes } from './wrong-bytes.ts';

/** A folder that is gone after the test. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'podmesh-daemon-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** What lies in a folder that may not be there. */
export async function namesIn(folder: string): Promise<readonly string[]> {
  return (await readdir(folder).catch(() => [])).sort();
}

export async function* textStream(...pieces: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const piece of pieces) yield Buffer.from(piece);
}

/** A stream that breaks after its first piece. */
export async function* brokenStream(piece: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(piece);
  throw new Error('the stream broke');
}

export function fileEntry(path: string, text: string, executable = false): OutputEntry {
  return { kind: 'file', path, executable, content: textStream(text) };
}

export async function* entries(...listed: readonly OutputEntry[]): AsyncGenerator<OutputEntry> {
  yield* listed;
}

/** Bytes of which no two stretches are alike, the same ones every time. */
export function someBytes(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = 1;
  for (let index = 0; index < length; index += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[index] = state >>> 24;
  }
  return bytes;
}

/** As a failing disk does: under the same name, of the same length. */
export async function flipByte(path: string): Promise<void> {
  const bytes = await readFile(path);
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
  await chmod(path, 0o600);
  await writeFile(path, bytes);
}

/** Of a disk of whatever size, as much as there is. */
export const ROOMY = { floorBytes: 0, ceilingBytes: Number.MAX_SAFE_INTEGER, minFreeBytes: 0 };

/** A store in a folder of its own, prepared; its threads end with the test. `next`: the same folder after a kill. */
export async function newStore(options: DiskStoreOptions = {}) {
  const root = await temporaryFolder();
  const next = async () => {
    const store = new DiskStore(root, { limits: ROOMY, ...options });
    onTestFinished(() => store.stop());
    await store.prepare();
    return store;
  };
  return { root, store: await next(), next };
}

/** Bytes with their digest and chunk list. */
export function chunkedArtifact(bytes: Uint8Array) {
  const { ref } = sampleArtifact(bytes);
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
    chunks.push(bytes.slice(at, at + CHUNK_BYTES));
  }
  const digests = chunks.map((chunk) => createHash('sha256').update(chunk).digest('hex'));
  return { bytes, digest: ref.digest, chunks, list: { bytes: bytes.length, digests } };
}

/** Mends from `holder`; nobody reads anything before `readers.of` says so. */
export function wrongBytesOf(store: DiskStore, holder = new Map<ArtifactId, string>()) {
  const told: ArtifactId[][] = [];
  const wrongBytes = new WrongBytes({
    store,
    fetchAgain: async (artifact) => {
      const text = holder.get(artifact);
      if (text === undefined) throw new Error('nobody has it');
      await store.write(textStream(text), 'copy');
    },
  });
  wrongBytes.open({
    endReadersOf: (inputs) => {
      told.push([...inputs]);
      return ['run/reader'];
    },
  });
  return { wrongBytes, holder, told };
}
