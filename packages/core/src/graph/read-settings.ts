import type { Needs } from '../placement/lane.ts';
import { COMMAND_BYTES_MAX, TASK_TIMEOUT_MS_MAX } from '../words/limits.ts';
import type { ContainerRef, Retries } from './graph.ts';
import type { DocumentDefaults, DocumentEnv } from './graph-document.ts';
import { bytesOf, millisecondsOf } from './parse-quantity.ts';
import { parseContainerRef } from './parse-reference.ts';
import { inWords, type Path, type ProblemList } from './problem-list.ts';

/** What `defaults` and jobs both may say, read; a member is absent where the document is silent. */
export interface Settings {
  readonly container?: ContainerRef | undefined;
  readonly command?: readonly string[] | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly needs: Needs;
  readonly net?: boolean | undefined;
  readonly timeoutMs?: number | undefined;
  readonly retries?: Retries | undefined;
  readonly cache?: boolean | undefined;
  readonly replicas?: number | undefined;
  readonly keep?: boolean | undefined;
}

export const NO_ENV: Readonly<Record<string, string>> = {};
export const NO_NEEDS: Needs = {};
/** Stands where a container cannot be read: a graph with problems is never handed out. */
export const UNREADABLE_CONTAINER: ContainerRef = { kind: 'reference', reference: 'unreadable' };

/** Reads the shared members of `defaults` or of a job at `path`; reports what cannot be meant. */
export function readSettings(said: DocumentDefaults, path: Path, problems: ProblemList): Settings {
  return {
    container: readContainer(said.container, path, problems),
    command: readCommand(said.command, path, problems),
    env: readEnv(said.env, [...path, 'env'], problems),
    needs: readNeeds(said, [...path, 'needs'], problems),
    net: said.net,
    timeoutMs: readTimeout(said.timeout, path, problems),
    retries: readRetries(said.retries),
    cache: said.cache,
    replicas: said.replicas,
    keep: said.keep,
  };
}

function readContainer(
  text: string | undefined,
  path: Path,
  problems: ProblemList,
): ContainerRef | undefined {
  if (text === undefined) return undefined;
  const parsed = parseContainerRef(text);
  if (parsed.ok) return parsed.value;
  problems.add([...path, 'container'], () => parsed.error);
  return UNREADABLE_CONTAINER;
}

function readCommand(
  words: readonly string[] | undefined,
  path: Path,
  problems: ProblemList,
): readonly string[] | undefined {
  if (words === undefined) return undefined;
  if (words[0] === '') {
    problems.add([...path, 'command', 0], () => ({
      problem: 'the program to run is an empty word',
      advice: 'Put the name or path of a program first.',
    }));
  }
  reportTooLong('the words of the command', words, [...path, 'command'], problems);
  return words;
}

function readEnv(
  env: DocumentEnv | undefined,
  path: Path,
  problems: ProblemList,
): Readonly<Record<string, string>> {
  if (env === undefined) return NO_ENV;
  const variables = isList(env) ? splitList(env, path, problems) : Object.entries(env);
  for (const [position, [name]] of variables.entries()) {
    if (!name.startsWith('PODMESH_')) continue;
    problems.add([...path, isList(env) ? position : name], () => ({
      problem: `${inWords(name)} is reserved: podmesh sets variables that start with PODMESH_ itself`,
      advice: 'Choose another name.',
    }));
  }
  // fromEntries defines members, so that a variable called __proto__ is one like any other.
  const read = Object.fromEntries(variables.map(([name, value]) => [name, String(value)]));
  reportEnvTooLong(read, path, problems);
  return read;
}

/** `KEY=value` entries as pairs; reports keys that come twice. */
function splitList(
  env: readonly string[],
  path: Path,
  problems: ProblemList,
): readonly (readonly [string, string])[] {
  const first = new Map<string, number>();
  return env.map((entry, position) => {
    const split = entry.indexOf('=');
    const name = entry.slice(0, split);
    const earlier = first.get(name);
    if (earlier === undefined) first.set(name, position);
    else
      problems.add([...path, position], () => ({
        problem: `${inWords(name)} was already set by item ${earlier} of this list`,
        advice: 'Keep one of the two.',
      }));
    return [name, entry.slice(split + 1)];
  });
}

function readRetries(said: DocumentDefaults['retries']): Retries | undefined {
  if (said === undefined) return undefined;
  return typeof said === 'number' ? { task: said } : { task: 0, byKind: said };
}

/** `runtime` stands beside `needs` in the document, because it is no amount; placement asks for both alike. */
function readNeeds({ needs, runtime }: DocumentDefaults, path: Path, problems: ProblemList): Needs {
  if (needs === undefined) return runtime === undefined ? NO_NEEDS : { runtime };
  const { cpus, gpus, arch, labels } = needs;
  return {
    cpus: cpus === undefined ? undefined : readCpus(Number(cpus), [...path, 'cpus'], problems),
    memoryBytes: readBytes(needs.memory, [...path, 'memory'], problems),
    diskBytes: readBytes(needs.disk, [...path, 'disk'], problems),
    gpus,
    arch,
    labels: labels === undefined || isList(labels) ? labels : Object.entries(labels).map(join),
    runtime,
  };
}

const join = ([key, value]: readonly [string, unknown]): string => `${key}=${String(value)}`;

function readCpus(cpus: number, path: Path, problems: ProblemList): number {
  if (cpus > 0 && cpus <= 65_536) return cpus;
  problems.add(path, () => ({
    problem: `${cpus} cores are not a number of cores that a task can need`,
    advice: 'Write a number above 0, such as 0.5 or 4.',
  }));
  return 1;
}

function readBytes(
  quantity: number | string | undefined,
  path: Path,
  problems: ProblemList,
): number | undefined {
  if (quantity === undefined) return undefined;
  const bytes = bytesOf(quantity);
  if (Number.isSafeInteger(bytes)) return bytes;
  problems.add(path, () => ({
    problem: `${inWords(quantity)} is more than any machine has`,
    advice: 'Write a number of bytes, or text such as "512MiB" or "2G".',
  }));
  return 0;
}

function readTimeout(
  duration: number | string | undefined,
  path: Path,
  problems: ProblemList,
): number | undefined {
  if (duration === undefined) return undefined;
  const timeoutMs = millisecondsOf(duration);
  if (timeoutMs > 0 && timeoutMs <= TASK_TIMEOUT_MS_MAX) return timeoutMs;
  problems.add([...path, 'timeout'], () => ({
    problem: `a time limit of ${inWords(duration)} is not possible`,
    advice: 'Write more than 0 and at most "30d", or leave it out: then it is 24 hours.',
  }));
  return TASK_TIMEOUT_MS_MAX;
}

/** Reports an environment that a peer could not hand to a container. */
export function reportEnvTooLong(
  env: Readonly<Record<string, string>>,
  path: Path,
  problems: ProblemList,
): void {
  reportTooLong('the environment variables', Object.entries(env).flat(), path, problems);
}

function reportTooLong(
  what: string,
  texts: readonly string[],
  path: Path,
  problems: ProblemList,
): void {
  // Each word ends in a NUL for the kernel.
  const bytes = texts.reduce((sum, text) => sum + utf8Length(text) + 1, 0);
  if (bytes <= COMMAND_BYTES_MAX) return;
  problems.add(path, () => ({
    problem: `${what} take ${bytes.toLocaleString('en')} bytes together, and ${COMMAND_BYTES_MAX.toLocaleString('en')} are possible`,
    advice: 'Put long text into a file and give it to the task under "inputs" as "file:<path>".',
  }));
}

function utf8Length(text: string): number {
  let bytes = 0;
  for (const character of text) {
    const point = character.codePointAt(0) ?? 0;
    bytes += point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
  }
  return bytes;
}

function isList<T>(value: readonly T[] | object): value is readonly T[] {
  return Array.isArray(value);
}
