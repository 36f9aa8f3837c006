import { packSequences, type Sequence, type SweepNote, unpackSequences } from '@podmesh/core';
import { decodeJson } from './json-codec.ts';
import type { MeshConnection } from './mesh-connection.ts';
import { asking } from './port-error.ts';
import {
  ARTIFACT_BUCKET,
  ARTIFACT_STREAM,
  artifactChunkSubject,
  SWEEP_NAME,
  sweepSubject,
} from './subjects.ts';

/** The small part of an announcement, which every put of something that is there reads. */
export interface NoteEntry {
  readonly horizon: Sequence;
  readonly kept: number;
  readonly removed: number;
  /** Where the condemned are. */
  readonly place: string;
  readonly sequence: Sequence;
  readonly atMs: number;
}

/** The last announcement of a sweep, read by the leader; undefined: there was none. */
export async function readNoteEntry(mesh: MeshConnection): Promise<NoteEntry | undefined> {
  const query = { last_by_subj: sweepSubject };
  const last = await asking('read what the sweep announced', () =>
    mesh.jsm.streams.getMessage(ARTIFACT_STREAM, query),
  );
  if (last === null) return undefined;
  const where = `${ARTIFACT_STREAM} ${last.seq}`;
  const { nuid, metadata } = decodeJson<Record<string, unknown>>(last.data, where);
  const { horizon, kept, removed }: Record<string, unknown> = Object(metadata);
  // One that nobody can read is written over like any other; until then everything is kept that is put again.
  const number = (said: unknown, otherwise: number): number =>
    Number.isSafeInteger(Number(said)) ? Number(said) : otherwise;
  return {
    horizon: number(horizon, last.seq),
    ...{ kept: number(kept, 0), removed: number(removed, 0), place: String(nuid) },
    ...{ sequence: last.seq, atMs: last.time.getTime() },
  };
}

/** What that announcement condemned; nothing, where that cannot be read. */
export async function readCondemned(
  mesh: MeshConnection,
  { place }: NoteEntry,
): Promise<readonly Sequence[]> {
  const query = { last_by_subj: artifactChunkSubject(place) };
  const stored = await asking('read what the sweep condemned', () =>
    mesh.jsm.streams.getMessage(ARTIFACT_STREAM, query),
  );
  return (stored === null ? undefined : unpackSequences(stored.data)) ?? [];
}

/** The condemned first: an announcement without them condemns nothing. */
export async function writeCondemned(
  mesh: MeshConnection,
  place: string,
  condemned: readonly Sequence[],
): Promise<number> {
  const bytes = packSequences(condemned);
  await mesh.js.publish(artifactChunkSubject(place), bytes);
  return bytes.length;
}

/** The announcement as the entry of an object, which other tools can list and read. */
export function noteEntry(
  { horizon, kept, removed }: SweepNote,
  nuid: string,
  size: number,
): object {
  return {
    name: SWEEP_NAME,
    description: 'what the sweep of podmesh announced',
    bucket: ARTIFACT_BUCKET,
    ...{ nuid, size, chunks: 1, deleted: false },
    metadata: { horizon: String(horizon), kept: String(kept), removed: String(removed) },
  };
}
