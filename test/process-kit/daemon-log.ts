import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ArtifactId } from '@podmesh/core';
import type { DaemonProcess } from './daemon-process.ts';

/** By this a daemon notes in its log how each artifact came. */
export const NOTES_TRANSFERS = { PODMESH_LOG_LEVEL: 'debug' };

/** What a daemon noted of a transfer. */
export interface NotedTransfer {
  readonly msg: string;
  readonly directBytes: number;
  readonly relayedBytes: number;
  readonly from: readonly string[];
}

/** Transfers of an artifact that have ended at that daemon, which was started with {@link NOTES_TRANSFERS}. */
export async function transfersOf(
  { options }: DaemonProcess,
  artifact: ArtifactId | undefined,
): Promise<readonly NotedTransfer[]> {
  const text = await readFile(join(options.home, 'daemon.log'), 'utf8');
  // The daemon still writes: what has no end yet is no line.
  const whole = text.split('\n').slice(0, -1);
  const lines = whole.filter((line) => line.includes('"directBytes"'));
  return lines
    .map((line) => JSON.parse(line) as NotedTransfer & { artifact: ArtifactId })
    .filter((noted) => noted.artifact === artifact)
    .map(({ msg, directBytes, relayedBytes, from }) => ({ msg, directBytes, relayedBytes, from }));
}
