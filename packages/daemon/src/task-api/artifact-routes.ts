import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import {
  ARTIFACT_BYTES_MAX,
  type ArtifactId,
  ArtifactMissingError,
  type ArtifactRef,
  type ArtifactStore,
  artifactId,
  type ClaimId,
  claimId,
  EMPTY_ARTIFACT,
  isDigest,
  type OutputEntry,
  RERUNS_PER_TASK_MAX,
} from '@podmesh/core';
import { parseByteRange } from '@podmesh/transfer';
import type { TaskFiles } from '../execute/task-files.ts';
import {
  json,
  type TaskApiAnswer,
  type TaskApiCall,
  type TaskApiRequest,
  type TaskApiRoute,
} from './task-api-call.ts';
import { TaskApiError } from './task-api-error.ts';
import { STALL_MS, TASK_STREAMS_MAX } from './task-api-limits.ts';

export interface ArtifactRouteParts {
  readonly files: Pick<TaskFiles, 'input' | 'storeOutput' | 'release'>;
  readonly artifacts: Pick<ArtifactStore, 'stat'>;
  readonly randomId: () => string;
  /** Has bytes made again that a sub-task left and nobody has any more; false when that is of no use. Absent: never. */
  readonly again?: MakeAgain;
  /** Overrides `STALL_MS` in tests. */
  readonly stallMs?: number;
}

type MakeAgain = (
  wanted: Pick<TaskApiCall, 'task' | 'signal'> & { readonly digest: ArtifactId },
) => Promise<boolean>;

/**
 * Artifacts by digest: whoever knows a digest may read the bytes, as every peer may. What is stored is here and where
 * every peer can reach it before the answer is sent.
 */
export function artifactRoutes(parts: ArtifactRouteParts): readonly TaskApiRoute[] {
  const put = (call: TaskApiCall) => storeArtifact(parts, call);
  return [
    { method: 'PUT', path: '/v1/artifacts', answer: put },
    { method: 'PUT', path: '/v1/artifacts/{digest}', answer: put },
    {
      method: 'GET',
      path: '/v1/artifacts/{digest}',
      answer: (call) => readArtifact(parts, call),
    },
  ];
}

async function storeArtifact(
  { files, stallMs = STALL_MS }: ArtifactRouteParts,
  { task, request, path, signal }: TaskApiCall,
): Promise<TaskApiAnswer> {
  const expected = path.digest === undefined ? undefined : digestIn(path.digest);
  const release = task.takeStream(TASK_STREAMS_MAX);
  try {
    const known = expected === undefined ? undefined : task.held.get(expected);
    if (known !== undefined) {
      for await (const piece of verified(bodyOf(request, signal, stallMs), expected)) void piece;
      return json(known, 201);
    }
    const putting = task.putting();
    try {
      const content = verified(counted(bodyOf(request, signal, stallMs), putting.count), expected);
      const stored = await files.storeOutput('file', oneFile(content));
      putting.keep(stored);
      return json(stored, 201);
    } finally {
      putting.end();
    }
  } finally {
    release();
  }
}

/** What is lost is made again, if a sub-task left it; then it is read, or lost once more. */
async function readArtifact(parts: ArtifactRouteParts, call: TaskApiCall): Promise<TaskApiAnswer> {
  const { task, path, signal } = call;
  const digest = digestIn(path.digest ?? '');
  for (let tries = 0; ; tries += 1) {
    try {
      return await readKnown(parts, call, digest);
    } catch (error) {
      if (!isMissing(error) || tries > RERUNS_PER_TASK_MAX) throw error;
      if ((await parts.again?.({ task, digest, signal })) !== true) throw error;
    }
  }
}

const isMissing = (error: unknown): boolean =>
  error instanceof ArtifactMissingError ||
  (error instanceof TaskApiError && error.code === 'artifact-missing');

async function readKnown(
  parts: ArtifactRouteParts,
  { task, request, signal }: TaskApiCall,
  digest: ArtifactId,
): Promise<TaskApiAnswer> {
  const ref = await knownArtifact(parts, digest);
  const free = task.takeStream(TASK_STREAMS_MAX);
  // For this answer alone: what it reads is not to be evicted before it is sent.
  const reader = claimId(`read-${parts.randomId()}`);
  const onEnd = (): void => {
    free();
    void parts.files.release(reader).catch(() => undefined);
  };
  try {
    return await openArtifact(parts, ref, { request, reader, signal, onEnd });
  } catch (error) {
    onEnd();
    throw error;
  }
}

interface Reading {
  readonly request: TaskApiRequest;
  readonly reader: ClaimId;
  readonly signal: AbortSignal;
  readonly onEnd: () => void;
}

async function openArtifact(
  { files }: ArtifactRouteParts,
  ref: ArtifactRef,
  { request, reader, signal, onEnd }: Reading,
): Promise<TaskApiAnswer> {
  // Of a directory the listing is wanted, which is a file like all others.
  const file = await files.input({ ...ref, kind: 'file' }, { claim: reader, signal });
  const { size } = await stat(file);
  const range = parseByteRange(request.headers.range, size);
  if (range === 'unsatisfiable')
    throw new TaskApiError('range-not-satisfiable', `${ref.digest} has ${size} bytes`);
  const isWhole = range === 'whole';
  const { start, end } = isWhole ? { start: 0, end: size } : range;
  return {
    kind: 'bytes',
    status: isWhole ? 200 : 206,
    headers: {
      'content-type': 'application/octet-stream',
      'content-length': String(end - start),
      'accept-ranges': 'bytes',
      'podmesh-artifact-kind': ref.kind,
      ...(isWhole ? {} : { 'content-range': `bytes ${start}-${end - 1}/${size}` }),
    },
    source: start === end ? nothing() : createReadStream(file, { start, end: end - 1 }),
    onEnd,
  };
}

async function knownArtifact(
  { artifacts }: ArtifactRouteParts,
  digest: ArtifactId,
): Promise<ArtifactRef> {
  if (digest === EMPTY_ARTIFACT) return { digest, kind: 'file', bytes: 0 };
  const known = (await artifacts.stat([digest])).get(digest);
  if (known !== undefined) return known;
  throw new TaskApiError('artifact-missing', `${digest} is not stored in this mesh`);
}

function digestIn(text: string): ArtifactId {
  if (isDigest(text)) return artifactId(text);
  throw new TaskApiError('bad-request', `${JSON.stringify(text)} is no sha256: digest`);
}

/** The body as it comes. Ends with an error when nothing comes for long, or the task is over. */
async function* bodyOf(
  request: TaskApiRequest,
  signal: AbortSignal,
  stallMs: number,
): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  const stalled = () =>
    request.destroy(new TaskApiError('timeout', `nothing came for ${stallMs / 1_000} s`));
  const aborted = () => request.destroy(new Error('nobody waits for this any more'));
  let late = setTimeout(stalled, stallMs);
  signal.addEventListener('abort', aborted, { once: true });
  try {
    // Not destroyed when this ends early: a refusal is still to be sent on that connection.
    const pieces: AsyncIterable<Buffer> = request.iterator({ destroyOnReturn: false });
    for await (const piece of pieces) {
      clearTimeout(late);
      late = setTimeout(stalled, stallMs);
      bytes += piece.length;
      if (bytes > ARTIFACT_BYTES_MAX)
        throw new TaskApiError('too-large', `an artifact has at most ${ARTIFACT_BYTES_MAX} bytes`);
      yield piece;
    }
  } finally {
    clearTimeout(late);
    signal.removeEventListener('abort', aborted);
  }
  if (!request.complete) throw new TaskApiError('bad-request', 'the body broke off');
}

async function* counted(
  source: AsyncIterable<Uint8Array>,
  count: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  for await (const piece of source) {
    count(piece.length);
    yield piece;
  }
}

/** Fails at the end when the bytes are not what was said, so that nothing is stored. */
async function* verified(
  source: AsyncIterable<Uint8Array>,
  expected: ArtifactId | undefined,
): AsyncGenerator<Uint8Array> {
  if (expected === undefined) {
    yield* source;
    return;
  }
  const hash = createHash('sha256');
  for await (const piece of source) {
    hash.update(piece);
    yield piece;
  }
  const found = `sha256:${hash.digest('hex')}`;
  if (found !== expected)
    throw new TaskApiError('digest-mismatch', `the bytes are ${found}, not ${expected}`);
}

async function* oneFile(content: AsyncIterable<Uint8Array>): AsyncGenerator<OutputEntry> {
  yield { kind: 'file', path: '', executable: false, content };
}

async function* nothing(): AsyncGenerator<Uint8Array> {}
