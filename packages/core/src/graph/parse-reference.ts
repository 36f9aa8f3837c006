import { artifactId, isDigest, isJobId, jobId } from '../words/ids.ts';
import { ok, type Result, refused } from '../words/result.ts';
import type { ContainerRef, InputRef, OutputRef } from './graph.ts';
import { type Finding, inWords } from './problem-list.ts';

type JobOutputRef = Extract<InputRef, { kind: 'output' }>;

/** Highest descriptor number an output may name. */
const FD_MAX = 63;
/** Where containers have things that no output may replace. */
const RESERVED_PATHS = [
  '/proc',
  '/sys',
  '/dev',
  '/in',
  '/run/podmesh',
  '/run/podmesh.sock',
  '/run/secrets',
];

/** Reads `container`: an image reference, an image digest, or another job's output. */
export function parseContainerRef(text: string): Result<ContainerRef, Finding> {
  if (text.startsWith('jobs:')) return parseJobOutputRef(text);
  if (text.startsWith('sha256:'))
    return isDigest(text) ? ok({ kind: 'digest', digest: text }) : refused(badDigest(text));
  return IMAGE_REFERENCE.test(text)
    ? ok({ kind: 'reference', reference: text })
    : refused(badImageReference(text));
}

/** Reads one of `inputs`: a digest, another job's output, or a file beside the document. */
export function parseInputRef(text: string): Result<InputRef, Finding> {
  if (text.startsWith('jobs:')) return parseJobOutputRef(text);
  if (text.startsWith('file:')) return parseFileInput(text);
  if (text.startsWith('inputs:')) return refused(GIVEN_BY_NOBODY);
  return isDigest(text)
    ? ok({ kind: 'artifact', artifact: artifactId(text) })
    : refused(badDigest(text));
}

const GIVEN_BY_NOBODY: Finding = {
  problem: 'nobody gives this document any inputs',
  advice: 'Only a document that another one names as its "graph" can read "inputs:<name>".',
};

/** Reads one of `outputs`: `file:/path`, `dir:/path` or `fd:N`; 0 is read as 1. */
export function parseOutputRef(text: string): Result<OutputRef, Finding> {
  if (text.startsWith('fd:')) return parseDescriptor(text);
  const kind = text.startsWith('dir:') ? 'dir' : 'file';
  const written = text.slice(kind.length + 1);
  const finding = refusedPath(written, kind);
  if (finding !== undefined) return refused(finding);
  return ok({ kind, path: `/${namedParts(written).join('/')}` });
}

const JOB_OUTPUT = /^jobs:([^:/]+)(?::([0-9]{1,7}))?\/(.+)$/s;

/** Reads `jobs:<id>/<output>` or `jobs:<id>:<index>/<output>`. */
export function parseJobOutputRef(text: string): Result<JobOutputRef, Finding> {
  const [, job, index, output] = JOB_OUTPUT.exec(text) ?? [];
  if (job === undefined || output === undefined || !isJobId(job))
    return refused(badJobOutput(text));
  const reference = { kind: 'output', job: jobId(job), output } as const;
  return ok(index === undefined ? reference : { ...reference, index: Number(index) });
}

function badJobOutput(text: string): Finding {
  return {
    problem: `${inWords(text)} does not name the output of a job`,
    advice:
      'Write "jobs:<id>/<output>", or "jobs:<id>:<index>/<output>" for one element of an array job.',
  };
}

function badDigest(text: string): Finding {
  return {
    problem: `${inWords(text)} is not a SHA-256 digest`,
    advice: 'Write "sha256:" and then exactly 64 lower-case hex digits.',
  };
}

const HOST = '(?:[A-Za-z0-9][A-Za-z0-9.-]*|\\[[0-9A-Fa-f:]+\\])(?::[0-9]{1,5})?/';
const COMPONENT = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*';
const TAG = ':[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}';
const DIGEST = '@sha256:[0-9a-f]{64}';
/** The reference grammar of the OCI distribution specification, with a registry in front. */
const IMAGE_REFERENCE = new RegExp(
  `^(?:${HOST})?${COMPONENT}(?:/${COMPONENT})*(?:${TAG})?(?:${DIGEST})?$`,
);

function badImageReference(text: string): Finding {
  const problem = `${inWords(text)} is not an image reference`;
  if (text.includes('://'))
    return { problem, advice: `Leave out ${inWords(text.slice(0, text.indexOf('://') + 3))}.` };
  if (IMAGE_REFERENCE.test(text.toLowerCase()))
    return { problem, advice: 'Write the name of the image in lower case.' };
  return {
    problem,
    advice: 'Write it as for "podman run", such as "docker.io/library/debian:12".',
  };
}

function parseFileInput(text: string): Result<InputRef, Finding> {
  const path = text.slice('file:'.length);
  const advice = 'Write "file:<path>" with a path relative to the document.';
  if (path === '') return refused({ problem: 'the path of this file is empty', advice });
  if (path.startsWith('/'))
    return refused({ problem: `the path ${inWords(path)} is absolute`, advice });
  if (path.includes('\0'))
    return refused({ problem: 'the path of this file has a NUL character', advice });
  return ok({ kind: 'file', path });
}

function parseDescriptor(text: string): Result<OutputRef, Finding> {
  const fd = /^fd:[0-9]{1,3}$/.test(text) ? Number(text.slice('fd:'.length)) : Infinity;
  if (fd <= FD_MAX) return ok({ kind: 'fd', fd: Math.max(1, fd) });
  return refused({
    problem: `${inWords(text)} does not name a descriptor`,
    advice: `Write "fd:" and a number up to ${FD_MAX}: 1 standard output, 2 standard error, 3 and up are opened for the task.`,
  });
}

/** Why the path cannot be an output; undefined when it can. */
function refusedPath(path: string, kind: 'file' | 'dir'): Finding | undefined {
  const advice = `Write "${kind}:" and an absolute path inside the container, such as "${kind}:/tmp/out".`;
  if (!path.startsWith('/'))
    return { problem: `the path ${inWords(path)} is not absolute`, advice };
  if (path.includes('\0')) return { problem: 'the path has a NUL character', advice };
  if (path.split('/').includes('..'))
    return { problem: `the path ${inWords(path)} goes up with ".."`, advice };
  const plain = `/${namedParts(path).join('/')}`;
  if (plain === '/') return { problem: 'the root directory cannot be an output', advice };
  const reserved = RESERVED_PATHS.find((root) => plain === root || plain.startsWith(`${root}/`));
  if (reserved !== undefined)
    return { problem: `${reserved} is kept for the container's own use`, advice };
  if (kind === 'file' && path.endsWith('/'))
    return {
      problem: `${inWords(path)} names a directory`,
      advice: 'Write "dir:" in front of it.',
    };
  return undefined;
}

/** The parts of a path without empty ones and ".". */
function namedParts(path: string): readonly string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.');
}
