import { packSequences, type Sequence, type SweepNote, unpackSequences } from '@podmesh/core';
import { decodeJson } from './json-codec.ts';
import type { MeshConnection } from './mesh-connection.ts';
import { asking } from './port-error.ts';
import { ARTIFACT_BUCKET, ARTIFACT_STREAM, SWEEP_NAME, sweepSubject } from './subjects.ts';

export interface StoredNote {
  readonly value: SweepNote;
  readonly sequence: Sequence;
  readonly atMs: number;
}

/** The last announcement of a sweep, read by the leader; undefined: there was none, or it cannot be read. */
export async function readNote(mesh: MeshConnection): Promise<StoredNote | undefined> {
  const query = { last_by_subj: sweepSubject };
  const last = await asking('read what the sweep announced', () =>
    mesh.jsm.streams.getMessage(ARTIFACT_STREAM, query),
  );
  if (last === null) return undefined;
  const where = `${ARTIFACT_STREAM} ${last.seq}`;
  const value = parse(decodeJson<{ metadata?: unknown }>(last.data, where).metadata);
  const sequence = last.seq;
  // One that nobody can read condemns nothing, and is written over like any other.
  const nothing = { horizon: sequence, condemned: [], kept: 0, removed: 0 };
  return { value: value ?? nothing, sequence, atMs: last.time.getTime() };
}

/** The note as the entry of an empty object, which other tools can list and read. */
export function noteEntry({ horizon, condemned, kept, removed }: SweepNote, nuid: string): object {
  return {
    name: SWEEP_NAME,
    description: 'what the sweep of podmesh announced',
    bucket: ARTIFACT_BUCKET,
    nuid,
    size: 0,
    chunks: 0,
    deleted: false,
    metadata: {
      horizon: String(horizon),
      condemned: Buffer.from(packSequences(condemned)).toString('base64'),
      kept: String(kept),
      removed: String(removed),
    },
  };
}

function parse(metadata: unknown): SweepNote | undefined {
  const { horizon, condemned, kept, removed }: Record<string, unknown> = Object(metadata);
  if (typeof condemned !== 'string') return undefined;
  const sequences = unpackSequences(Buffer.from(condemned, 'base64'));
  const numbers = [horizon, kept, removed].map(Number);
  if (sequences === undefined || !numbers.every(Number.isSafeInteger)) return undefined;
  const [until = 0, stay = 0, went = 0] = numbers;
  return { horizon: until, condemned: sequences, kept: stay, removed: went };
}
