import type { JobSecrets, SecretRef } from '../external/secrets.ts';
import { placeText, type StorePlace, secretsOfPlace } from '../external/store-place.ts';
import { artifactId } from '../words/ids.ts';
import type { ShapedDocument } from './check-shape.ts';
import type { InputRef, Job } from './graph.ts';
import type {
  DocumentInput,
  DocumentJob,
  DocumentSecret,
  DocumentStore,
} from './graph-document.ts';
import { didYouMean } from './nearest-name.ts';
import { isPlaceText, parsePlace } from './parse-place.ts';
import { inWords, type Path, type ProblemList } from './problem-list.ts';

const NOTHING: Readonly<Record<string, never>> = {};

/** What jobs say of stores and secrets, read against the document's own `stores` and `secrets`. */
export class ExternalPlaces {
  readonly #stores: Readonly<Record<string, DocumentStore>>;
  readonly #secrets: Readonly<Record<string, DocumentSecret>>;
  readonly #isSpawn: boolean;
  readonly #problems: ProblemList;

  constructor(shaped: ShapedDocument, problems: ProblemList) {
    this.#stores = shaped.stores ?? NOTHING;
    this.#secrets = shaped.secrets ?? NOTHING;
    this.#isSpawn = shaped.isSpawn === true;
    this.#problems = problems;
  }

  /** Undefined: it is no place, or one that was reported; `isPlace` tells which. */
  readInput(said: string | DocumentInput, path: Path): InputRef | undefined {
    const { from, digest } = typeof said === 'string' ? { from: said, digest: undefined } : said;
    const place = this.#readPlace(from, typeof said === 'string' ? path : [...path, 'from']);
    if (place === undefined) return undefined;
    return {
      kind: 'external',
      place,
      ...(digest === undefined ? {} : { digest: artifactId(digest) }),
    };
  }

  /** Where outputs are to be delivered; elements of an array job must not write over each other. */
  readDeliveries(said: DocumentJob, path: Path): Pick<Job, 'deliveries'> {
    const deliveries = Object.entries(said.outputs ?? NOTHING).flatMap(([name, output]) => {
      if (typeof output === 'string') return [];
      const at = [...path, 'outputs', name, 'to'];
      const place = this.#readPlace(output.to, at);
      if (said.count !== undefined && !output.to.includes('{index}')) this.#reportShared(at);
      if (output.dir !== undefined && place !== undefined) this.#checkPrefix(place, at);
      return place === undefined ? [] : [[name, place] as const];
    });
    return deliveries.length === 0 ? {} : { deliveries: Object.fromEntries(deliveries) };
  }

  /** What the task sees of secrets. */
  readSecrets(said: DocumentJob, env: Job['env'], path: Path): Pick<Job, 'secrets'> {
    const entries = Object.entries(said.secrets ?? NOTHING);
    if (entries.length === 0) return {};
    const read: { [Kind in keyof JobSecrets]: Record<string, string> } = { env: {}, files: {} };
    for (const [name, secret] of entries) {
      const at = [...path, 'secrets', name];
      const isFile = typeof secret !== 'string';
      if (name === '__proto__') this.#problems.add(at, noName);
      if (!isFile) this.#checkVariable(name, env, at);
      this.#checkName(isFile ? secret.file : secret, at);
      if (isFile) read.files[name] = secret.file;
      else read.env[name] = secret;
    }
    return { secrets: read };
  }

  #readPlace(text: string, path: Path): StorePlace | undefined {
    const parsed = parsePlace(text, this.#stores);
    if (!parsed.ok) {
      this.#problems.add(path, () => parsed.error);
      return undefined;
    }
    for (const name of secretsOfPlace(parsed.value)) this.#checkName(name, path);
    return parsed.value;
  }

  #checkName(name: string, path: Path): void {
    if (Object.hasOwn(this.#secrets, name)) return;
    if (this.#isSpawn) {
      this.#problems.add(path, () => ({
        problem: `a sub-task has no secrets, so there is no ${inWords(name)}`,
        advice: 'Do what needs it in a job of the document, and give the sub-task the result.',
      }));
      return;
    }
    const known = Object.keys(this.#secrets);
    this.#problems.add(path, () => ({
      problem: `there is no secret ${inWords(name)}`,
      advice: `${didYouMean(name, known)}Add it to the document's "secrets", such as "${name}": {"env": "NAME"}.`,
    }));
  }

  #checkVariable(name: string, env: Job['env'], path: Path): void {
    const problem = variableProblem(name, env);
    if (problem === undefined) return;
    const advice =
      'Choose another name, or write {"file": "<secret>"} for a file below /run/secrets.';
    this.#problems.add(path, () => ({ problem, advice }));
  }

  /** A directory has many files, and most addresses take one. */
  #checkPrefix(place: StorePlace, path: Path): void {
    if (place.kind === 's3' && place.key.endsWith('/')) return;
    const where = inWords(placeText(place));
    this.#problems.add(path, () =>
      place.kind === 's3'
        ? {
            problem: `${where} names one object, and a directory has many files`,
            advice: `End it with a slash, and each file is stored below it: ${placeText(place)}/`,
          }
        : {
            problem: `a directory cannot be delivered to ${where}, which takes one file`,
            advice:
              'Deliver it to s3://bucket/prefix/, or have the task write one archive and deliver that file.',
          },
    );
  }

  #reportShared(path: Path): void {
    this.#problems.add(path, () => ({
      problem: 'all tasks of this array job would be delivered to the same place',
      advice: 'Write {index} in the address where the number of the task belongs.',
    }));
  }
}

/** Whether an input is for {@link ExternalPlaces}. */
export const isExternalInput = (said: string | DocumentInput): boolean =>
  typeof said !== 'string' || isPlaceText(said);

/** The document's `secrets` as the mesh keeps them. */
export function readSecretRefs(
  said: Readonly<Record<string, DocumentSecret>> | undefined,
): Readonly<Record<string, SecretRef>> | undefined {
  const entries = Object.entries(said ?? NOTHING);
  if (entries.length === 0) return undefined;
  return Object.fromEntries(
    entries.map(([name, { peer, ...own }]): [string, SecretRef] => [
      name,
      peer === undefined ? { from: 'publisher', ...own } : { from: 'peer', ...peer },
    ]),
  );
}

/** Objects of programs, ours among them, have something else there. */
const noName = () => ({
  problem: '"__proto__" cannot be what a task calls a secret',
  advice: 'Choose another name.',
});

function variableProblem(name: string, env: Job['env']): string | undefined {
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
    return `${inWords(name)} cannot be the name of an environment variable`;
  if (name.startsWith('PODMESH_'))
    return `${inWords(name)} is reserved: podmesh sets variables that start with PODMESH_ itself`;
  return Object.hasOwn(env, name) ? `${inWords(name)} is set under "env" already` : undefined;
}
