import type { MeshConnection } from './mesh-connection.ts';
import { asking } from './port-error.ts';

export interface LastMessage {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly sequence: number;
  /** When the server stored it. */
  readonly atMs: number;
}

/** The server refuses more than 1024 (NATS.md §3.5); fewer, so that a slow link answers one request in time. */
const SUBJECTS_PER_REQUEST = 200;

/**
 * The last message of each of the subjects (wildcards allowed, 1024 matches a request), without
 * deletions. Any replica may answer, so the newest can be missing: for hints and caches only.
 */
export async function lastMessages(
  mesh: MeshConnection,
  stream: string,
  subjects: readonly string[],
): Promise<readonly LastMessage[]> {
  const found: LastMessage[] = [];
  for (let from = 0; from < subjects.length; from += SUBJECTS_PER_REQUEST) {
    const some = subjects.slice(from, from + SUBJECTS_PER_REQUEST);
    found.push(...(await asking(`read ${stream}`, () => lastOf(mesh, stream, some))));
  }
  return found;
}

async function lastOf(
  mesh: MeshConnection,
  stream: string,
  subjects: string[],
): Promise<LastMessage[]> {
  const found: LastMessage[] = [];
  await mesh.untilConnected(0);
  const answers = await mesh.jsm.direct.getLastMessagesFor(stream, { multi_last: subjects });
  for await (const { subject, data, header, seq: sequence, time } of answers)
    if (header.get('KV-Operation') === '')
      found.push({ subject, data, sequence, atMs: time.getTime() });
  return found;
}
