import { randomInt } from 'node:crypto';
import {
  type ArtifactId,
  type ArtifactRef,
  canonicalJson,
  type Graph,
  INLINE_VALUE_BYTES_MAX,
  indexTasks,
  type RunId,
  type RunPublished,
  runId,
} from '@podmesh/core';
import { artifactIdOf } from '@podmesh/jetstream';
import type { Client } from './client.ts';

const ID_LETTERS = 'abcdefghijklmnopqrstuvwxyz0123456789';
const ID_LENGTH = 12;

/** A run that is in the log. */
export interface PublishedRun {
  readonly published: RunPublished;
  /** False: no driver could be asked for; some peer will notice the run by itself. */
  readonly driveQueued: boolean;
}

/** Appends the first fact of a new run and asks for a driver. Local inputs must have been uploaded. */
export async function publishGraph(
  client: Client,
  graph: Graph,
  publisher: string,
  run: RunId,
): Promise<PublishedRun> {
  const published: RunPublished = {
    kind: 'run-published',
    run,
    ...(graph.name === undefined ? {} : { name: graph.name }),
    graph: await placeGraph(client, graph),
    taskCount: indexTasks(graph).taskCount,
    publisher,
  };
  // What it names may be old, and uploads take their time: from here on the sweep has to see the run (core, `ArtifactShelf`).
  await client.shelf.refresh(artifactsOf(graph));
  const appended = await client.runLog.append(published, 0);
  if (!appended.ok) throw new Error(`the run id ${published.run} is taken`);
  const driveQueued = await client.drives.publish(published.run).then(
    () => true,
    () => false,
  );
  return { published, driveQueued };
}

function artifactsOf({ jobs }: Graph): readonly ArtifactId[] {
  return jobs.flatMap(({ inputs }) =>
    Object.values(inputs).flatMap((input) => (input.kind === 'artifact' ? input.artifact : [])),
  );
}

/** 12 letters and digits from the system's randomness: 62 bits. */
export function newRunId(): RunId {
  const letters = Array.from({ length: ID_LENGTH }, () => ID_LETTERS[randomInt(ID_LETTERS.length)]);
  return runId(letters.join(''));
}

/** Small graphs travel in the event, larger ones are stored before it. */
async function placeGraph(client: Client, graph: Graph): Promise<RunPublished['graph']> {
  const bytes = Buffer.from(canonicalJson(graph));
  if (bytes.length <= INLINE_VALUE_BYTES_MAX) return { kind: 'inline', graph };
  const ref: ArtifactRef = { digest: artifactIdOf(bytes), kind: 'file', bytes: bytes.length };
  await client.artifacts.put(ref, once(bytes));
  return { kind: 'artifact', artifact: ref.digest };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes;
}
