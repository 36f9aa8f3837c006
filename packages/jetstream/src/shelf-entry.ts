import { headers } from '@nats-io/transport-node';
import type { ArtifactId, ArtifactKind, ArtifactRef, Sequence } from '@podmesh/core';
import { decodeJson, encodeJson } from './json-codec.ts';
import type { MeshConnection } from './mesh-connection.ts';
import { asking } from './port-error.ts';
import {
  ARTIFACT_STREAM,
  artifactChunkSubject,
  artifactMetaSubject,
  artifactOfName,
} from './subjects.ts';

const KIND = 'podmesh-kind';
const EXPECTED = 'Nats-Expected-Last-Subject-Sequence';
const ROLLUP = 'Nats-Rollup';

/** What of an object's entry (ADR-20) matters to us; the rest stays as it is. */
export interface ShelfEntry {
  readonly name: string;
  readonly size: number;
  readonly nuid: string;
  readonly chunks?: number;
  readonly deleted?: boolean;
  readonly metadata?: Readonly<Record<string, string>>;
}

export interface StoredEntry {
  readonly entry: ShelfEntry;
  readonly sequence: Sequence;
}

/** How an artifact's kind is written into its entry. */
export const kindMetadata = (kind: ArtifactKind): Record<string, string> => ({ [KIND]: kind });

export function refOf(entry: ShelfEntry): ArtifactRef {
  const kind: ArtifactKind = entry.metadata?.[KIND] === 'dir' ? 'dir' : 'file';
  return { digest: artifactOfName(entry.name), kind, bytes: entry.size };
}

/** Read by the leader; undefined: it is not there, or was deleted. */
export async function findEntry(
  mesh: MeshConnection,
  artifact: ArtifactId,
): Promise<StoredEntry | undefined> {
  const query = { last_by_subj: artifactMetaSubject(artifact) };
  const last = await asking(`look for ${artifact}`, () =>
    mesh.jsm.streams.getMessage(ARTIFACT_STREAM, query),
  );
  if (last === null) return undefined;
  const entry = decodeJson<ShelfEntry>(last.data, `${ARTIFACT_STREAM} ${last.seq}`);
  return entry.deleted === true ? undefined : { entry, sequence: last.seq };
}

/** Writes an entry where only `behind` is; throws the server's refusal when something else is. */
export async function writeEntry(
  mesh: MeshConnection,
  subject: string,
  entry: object,
  behind: Sequence,
): Promise<Sequence> {
  const fence = headers();
  fence.set(EXPECTED, String(behind));
  fence.set(ROLLUP, 'sub');
  return (await mesh.js.publish(subject, encodeJson(entry), { headers: fence })).seq;
}

/** Whether all pieces of the bytes are there: an upload that stood still for longer than the grace was swept away. */
export async function hasAllChunks(
  mesh: MeshConnection,
  nuid: string,
  chunks: number,
): Promise<boolean> {
  const subject = artifactChunkSubject(nuid);
  const { state } = await asking('look for the bytes of an artifact', () =>
    mesh.jsm.streams.info(ARTIFACT_STREAM, { subjects_filter: subject }),
  );
  return (state.subjects?.[subject] ?? 0) === chunks;
}
