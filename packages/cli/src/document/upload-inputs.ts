import { resolve } from 'node:path';
import type { ArtifactId, ArtifactStore, Graph, GraphProblem, InputRef, Job } from '@podmesh/core';
import { storePath } from '@podmesh/jetstream';
import { documentError } from './document-error.ts';
import { inputPlace } from './local-inputs.ts';
import { withProgram } from './python-program.ts';

/** Paths that are stored at the same time. */
const UPLOADS_AT_ONCE = 4;

/** Throws a `CliError` when the graph names artifacts that the mesh does not have. */
export async function checkArtifacts(
  graph: Graph,
  artifacts: Pick<ArtifactStore, 'stat'>,
): Promise<void> {
  const named = [...inputsOf(graph)].flatMap(({ position, name, input }) =>
    input.kind === 'artifact' ? [{ place: inputPlace(position, name), id: input.artifact }] : [],
  );
  if (named.length === 0) return;
  const found = await artifacts.stat([...new Set(named.map(({ id }) => id))]);
  const problems = named
    .filter(({ id }) => !found.has(id))
    .map(
      ({ place, id }): GraphProblem => ({
        path: place,
        problem: `the mesh has no artifact ${id}`,
        advice: 'Store the file with "podmesh put PATH", or name it as "file:PATH".',
      }),
    );
  if (problems.length > 0) throw documentError(problems);
}

/** Stores every local input, each path once, and returns the graph with artifacts in their place. */
export async function uploadInputs(
  graph: Graph,
  directory: string,
  artifacts: Pick<ArtifactStore, 'put'>,
): Promise<Graph> {
  const files = new Map<string, FileInput>();
  for (const { input } of inputsOf(graph))
    if (input.kind === 'file') files.set(keyOf(input), input);
  if (files.size === 0) return graph;
  const stored = new Map<string, ArtifactId>();
  const left = [...files];
  const upload = async (): Promise<void> => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      const [key, { path, unpack }] = next;
      const whole = resolve(directory, path);
      const store = (from: string) => storePath(from, artifacts);
      stored.set(key, (await (unpack ? withProgram(whole, store) : store(whole))).digest);
    }
  };
  await Promise.all(Array.from({ length: UPLOADS_AT_ONCE }, upload));
  return { ...graph, jobs: graph.jobs.map((job) => withArtifacts(job, stored)) };
}

type FileInput = Extract<InputRef, { kind: 'file' }>;

const keyOf = ({ path, unpack }: FileInput): string => `${unpack ? 'unpack' : 'store'} ${path}`;

function withArtifacts(job: Job, stored: ReadonlyMap<string, ArtifactId>): Job {
  const inputs = Object.entries(job.inputs);
  if (inputs.every(([, input]) => input.kind !== 'file')) return job;
  const replaced = inputs.map(([name, input]): [string, InputRef] => {
    const artifact = input.kind === 'file' ? stored.get(keyOf(input)) : undefined;
    return [name, artifact === undefined ? input : { kind: 'artifact', artifact }];
  });
  return { ...job, inputs: Object.fromEntries(replaced) };
}

function* inputsOf(graph: Graph): Iterable<{
  readonly position: number;
  readonly name: string;
  readonly input: InputRef;
}> {
  for (const [position, job] of graph.jobs.entries()) {
    for (const [name, input] of Object.entries(job.inputs)) yield { position, name, input };
  }
}
