import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import { COMMAND_BYTES_MAX, JOBS_PER_GRAPH_MAX } from '../words/limits.ts';
import { explainSchemaError } from './explain-schema-error.ts';
import type {
  DocumentDefaults,
  DocumentJob,
  DocumentSecret,
  DocumentStore,
  GraphDocument,
} from './graph-document.ts';
import { graphSchema } from './graph-schema.ts';
import { inWords, type Path, type ProblemList } from './problem-list.ts';

/** A document whose parts have the shape of the schema, as far as they have it. */
export interface ShapedDocument {
  readonly name: string | undefined;
  /** Undefined when they are wrong, or there are none. */
  readonly secrets: Readonly<Record<string, DocumentSecret>> | undefined;
  readonly stores: Readonly<Record<string, DocumentStore>> | undefined;
  /** A task spawns it: there is no publisher who could add secrets. */
  readonly isSpawn?: true;
  /** Undefined when they are wrong: nothing can be said of what jobs inherit. */
  readonly defaults: DocumentDefaults | undefined;
  /** By position; undefined where the shape is wrong. */
  readonly jobs: readonly (DocumentJob | undefined)[];
  /** By position, the id as written, also of jobs whose shape is wrong. */
  readonly writtenIds: readonly (string | undefined)[];
}

/**
 * Holds the document against the schema, job by job, so that a document of millions of mistakes
 * costs no more than its size. Undefined when there is nothing in it that could be checked further.
 */
export function checkShape(document: unknown, problems: ProblemList): ShapedDocument | undefined {
  if (!isReadable(document, problems)) return undefined;
  const { checkDocument, checkDefaults, checkSecrets, checkStores, checkJob } = validators();
  report([], document, checkDocument, problems);
  if (!Array.isArray(document.jobs)) return undefined;
  const written: readonly unknown[] = document.jobs.slice(0, JOBS_PER_GRAPH_MAX);
  const { defaults = {}, secrets = {}, stores = {} } = document;
  return {
    name: typeof document.name === 'string' ? document.name : undefined,
    defaults: fits(['defaults'], defaults, checkDefaults, problems) ? defaults : undefined,
    secrets: fits(['secrets'], secrets, checkSecrets, problems) ? secrets : undefined,
    stores: fits(['stores'], stores, checkStores, problems) ? stores : undefined,
    jobs: Array.from(written, (job, position) =>
      fits(['jobs', position], job, checkJob, problems) ? job : undefined,
    ),
    writtenIds: Array.from(written, writtenId),
  };
}

/** Whether it is a document of version 1 that is not absurdly wide. */
function isReadable(
  document: unknown,
  problems: ProblemList,
): document is Partial<Record<keyof GraphDocument, unknown>> {
  if (isMap(document) && Object.hasOwn(document, 'version') && document.version !== 1) {
    problems.add(['version'], () => ({
      problem: `the version is ${inWords(document.version)}, but this podmesh reads version 1 only`,
      advice: 'Write "version": 1 (a number, without quotes), or use a newer podmesh.',
    }));
    return false;
  }
  if (isMap(document)) return !isTooWide([], document, problems);
  problems.add([], () => ({
    problem: `a document is a map, not ${inWords(document)}`,
    advice: 'Write {"version": 1, "jobs": [ … ]}.',
  }));
  return false;
}

/** Whether the part has its shape; otherwise each mistake in it is reported. */
function fits<T>(
  path: Path,
  part: unknown,
  validate: ValidateFunction<T>,
  problems: ProblemList,
): part is T {
  if (isMap(part) && hasTooWide(path, part, problems)) return false;
  return report(path, part, validate, problems);
}

function report<T>(
  path: Path,
  part: unknown,
  validate: ValidateFunction<T>,
  problems: ProblemList,
): part is T {
  if (validate(part)) return true;
  for (const error of validate.errors ?? []) reportSchemaError(path, error, problems);
  return false;
}

function reportSchemaError(path: Path, error: ErrorObject, problems: ProblemList): void {
  const explained = explainSchemaError(error);
  if (explained !== undefined) problems.add([...path, ...explained.at], explained.finding);
}

/** A map of more members than this is refused without a look at each of them. */
const MAP_MEMBERS_MAX = 1_024;
/** So is a longer list: a command cannot have more words, and nothing else as many. */
const LIST_ITEMS_MAX = COMMAND_BYTES_MAX;
/** Members of members that hold lists or maps: `needs.labels`. */
const NESTED_MAX = 3;

function hasTooWide(path: Path, part: object, problems: ProblemList): boolean {
  if (isTooWide(path, part, problems)) return true;
  if (path.length > 2 + NESTED_MAX || Array.isArray(part)) return false;
  const members = Object.entries(part).filter(([, member]) => typeof member === 'object' && member);
  const wide = members.map(([key, member]) => hasTooWide([...path, key], member, problems));
  return wide.includes(true);
}

function isTooWide(path: Path, value: object, problems: ProblemList): boolean {
  const members = Array.isArray(value) ? value.length : Object.keys(value).length;
  const most = Array.isArray(value) ? LIST_ITEMS_MAX : MAP_MEMBERS_MAX;
  if (members <= most) return false;
  problems.add(path, () => ({
    problem: `${inWords(value)} with ${members.toLocaleString('en')} members, which is too many to look at`,
    advice: `Nothing here may have more than ${most.toLocaleString('en')}; was this generated by mistake?`,
  }));
  return true;
}

function writtenId(job: unknown): string | undefined {
  return isMap(job) && typeof job.id === 'string' ? job.id : undefined;
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

interface Validators {
  /** The document without a look into `defaults` and single jobs. */
  readonly checkDocument: ValidateFunction<unknown>;
  readonly checkDefaults: ValidateFunction<DocumentDefaults>;
  readonly checkSecrets: ValidateFunction<Readonly<Record<string, DocumentSecret>>>;
  readonly checkStores: ValidateFunction<Readonly<Record<string, DocumentStore>>>;
  readonly checkJob: ValidateFunction<DocumentJob>;
}

/** Compiled on first use (it takes tens of milliseconds, which no other command should pay), then kept. */
let compiled: Validators | undefined;

function validators(): Validators {
  compiled ??= compile();
  return compiled;
}

function compile(): Validators {
  // Verbose: an error then carries the schema it comes from, whose description is the advice.
  const ajv = new Ajv2020({ allErrors: true, verbose: true, allowUnionTypes: true });
  const { defaults, job } = graphSchema.$defs;
  const jobs = { ...graphSchema.properties.jobs, items: true };
  const { secrets, stores } = graphSchema.properties;
  const apart = { defaults: true, secrets: true, stores: true };
  const properties = { ...graphSchema.properties, ...apart, jobs };
  return {
    checkDocument: ajv.compile({ ...graphSchema, properties, $defs: {} }),
    checkDefaults: ajv.compile<DocumentDefaults>(defaults),
    checkSecrets: ajv.compile<Readonly<Record<string, DocumentSecret>>>(secrets),
    checkStores: ajv.compile<Readonly<Record<string, DocumentStore>>>(stores),
    checkJob: ajv.compile<DocumentJob>(job),
  };
}
