import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { OutputEntry } from '@podmesh/core';
import { onTestFinished } from 'vitest';

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
