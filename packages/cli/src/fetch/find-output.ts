import type { ArtifactId, ArtifactRef, RunRecord, TaskRecord, TreeEntry } from '@podmesh/core';
import { type ArtifactSource, makeTree } from '@podmesh/jetstream';
import type { Client } from '@podmesh/sdk';
import type { OutputTarget } from '../arguments/parse-target.ts';
import { CliError } from '../cli-error.ts';
import { noSuchTask } from '../mesh/no-such-task.ts';

/** Something to fetch, and where its bytes come from. */
export interface Wanted {
  readonly ref: ArtifactRef;
  readonly source: ArtifactSource;
  /** What it is called when nobody says otherwise. */
  readonly name: string;
}

type NamedOutput = Extract<OutputTarget, { kind: 'output' }>;

const NAMES_SHOWN = 10;

/** An artifact named by its digest. Throws a `CliError` when the mesh does not have it. */
export async function findArtifact(client: Client, artifact: ArtifactId): Promise<Wanted> {
  const ref = (await client.artifacts.stat([artifact])).get(artifact);
  if (ref === undefined) throw missing(artifact);
  return { ref, source: client.artifacts, name: artifact.replace(':', '-').slice(0, 19) };
}

/** An output of one task, or of all elements of an array job as one directory. */
export async function findOutput(
  client: Client,
  record: RunRecord,
  target: NamedOutput,
): Promise<Wanted> {
  const { task, output } = target;
  // What stood for a job until its elements were known left nothing.
  const tasks = record.tasks.filter(({ elements }) => elements === undefined);
  const one = tasks.find((known) => known.task === task);
  if (one !== undefined) {
    const wanted = await findArtifact(client, outputOf(one, output, record.run));
    return { ...wanted, name: baseName(output) };
  }
  const elements = tasks.filter((known) => known.job === (task as string));
  const isEmptyList = record.tasks.some((known) => known.task === task && known.elements === 0);
  if (elements.length === 0 && !isEmptyList) {
    throw noSuchTask(record.run, task, [...new Set(record.tasks.map(({ job }) => job))]);
  }
  return gather(client, elements, { ...target, run: record.run });
}

/** Throws a `CliError` that says why there is no such output. */
function outputOf({ task, state, outputs }: TaskRecord, output: string, run: string): ArtifactId {
  const found = outputs[output];
  if (found !== undefined) return found;
  if (state !== 'succeeded') {
    const advice =
      state === 'failed' || state === 'held' || state === 'skipped' || state === 'cancelled'
        ? `What happened: podmesh explain ${run}/${task}`
        : `Wait for it: podmesh wait ${run}`;
    throw new CliError('not-available', `${task} has no outputs: it is ${state}`, { advice });
  }
  const names = Object.keys(outputs).slice(0, NAMES_SHOWN);
  throw new CliError('no-such-output', `${task} has no output ${JSON.stringify(output)}`, {
    advice: names.length === 0 ? 'It has none at all.' : `It has: ${names.join(', ')}.`,
  });
}

/** The elements' outputs as one directory: `0`, `1`, … padded, so that names sort in order. */
async function gather(
  client: Client,
  elements: readonly TaskRecord[],
  { run, task, output }: NamedOutput,
): Promise<Wanted> {
  const digests = elements.map((element) => outputOf(element, output, run));
  const stored = await client.artifacts.stat([...new Set(digests)]);
  const width = String(elements.length - 1).length;
  const entries = digests.map((digest, element): TreeEntry => {
    const ref = stored.get(digest);
    if (ref === undefined) throw missing(digest);
    const path = String(element).padStart(width, '0');
    return ref.kind === 'dir'
      ? { kind: 'tree', path, digest }
      : { kind: 'file', path, digest, bytes: ref.bytes, executable: false };
  });
  const tree = makeTree(entries);
  // The listing exists only here; what it names is stored.
  const source = {
    get: (artifact: ArtifactId) =>
      artifact === tree.ref.digest ? once(tree.bytes) : client.artifacts.get(artifact),
  };
  return { ref: tree.ref, source, name: `${task}-${baseName(output)}` };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes;
}

/** An output's name may hold anything; a file name in the current directory may not. */
function baseName(output: string): string {
  const plain = output.replace(/[^A-Za-z0-9._-]/g, '_').replace(/^[.-]+/, '_');
  return plain === '' ? 'output' : plain;
}

function missing(artifact: ArtifactId): CliError {
  return new CliError('not-available', `the mesh has no artifact ${artifact}`, {
    advice:
      'If a peer that has it is away, wait for that one; else publish the document again: what is missed is made again.',
  });
}
