import {
  type ArtifactRef,
  artifactId,
  isDigest,
  KEEP_ORDER_ARTIFACTS_MAX,
  type KeepAnswer,
  type KeepOrder,
  type KeepRelease,
  type RunId,
  runId,
  type TaskId,
  taskId,
} from '@podmesh/core';

/** Longer refusals are cut: they end up in the log of the run. */
const MESSAGE_CHARACTERS_MAX = 300;
/** Tasks of one release; a hint about more of them is several. */
export const RELEASED_TASKS_MAX = 500;

/** Undefined for what is no order. */
export function decodeKeepOrder(data: Uint8Array): KeepOrder | undefined {
  const { run, task, apart, attempt, outputs } = membersOf(data);
  const owner = ownerOf(run, task);
  if (owner === undefined || !Array.isArray(outputs)) return undefined;
  if (outputs.length === 0 || outputs.length > KEEP_ORDER_ARTIFACTS_MAX) return undefined;
  const refs = outputs.map(decodeRef);
  if (!refs.every((ref) => ref !== undefined)) return undefined;
  const of = Number.isSafeInteger(attempt) ? { attempt: Number(attempt) } : {};
  return { ...owner, ...(apart === true ? { apart } : {}), ...of, outputs: refs };
}

/** Undefined for what is no answer; `silent` is none that anybody gives. */
export function decodeKeepAnswer(
  data: Uint8Array,
): Exclude<KeepAnswer, { readonly kind: 'silent' }> | undefined {
  const { kind, message } = membersOf(data);
  if (kind === 'kept' || kind === 'working') return { kind } as KeepAnswer & { kind: 'kept' };
  if (kind !== 'refused' || typeof message !== 'string') return undefined;
  return { kind, message: [...message].slice(0, MESSAGE_CHARACTERS_MAX).join('') };
}

/** Undefined for what is no release. */
export function decodeKeepRelease(data: Uint8Array): KeepRelease | undefined {
  const { run, tasks, as } = membersOf(data);
  if (!Array.isArray(tasks) || tasks.length > RELEASED_TASKS_MAX) return undefined;
  if (as !== 'kept' && as !== 'spent') return undefined;
  const owners = tasks.map((task: unknown) => ownerOf(run, task));
  const [first] = owners;
  if (first === undefined) return undefined;
  const named = owners.flatMap((owner) => (owner === undefined ? [] : [owner.task]));
  return named.length === tasks.length ? { run: first.run, tasks: named, as } : undefined;
}

export const encodeKeep = (message: KeepOrder | KeepAnswer | KeepRelease): Uint8Array =>
  Buffer.from(JSON.stringify(message));

function ownerOf(run: unknown, task: unknown): { run: RunId; task: TaskId } | undefined {
  if (typeof run !== 'string' || typeof task !== 'string') return undefined;
  try {
    return { run: runId(run), task: taskId(task) };
  } catch {
    return undefined;
  }
}

function decodeRef(ref: unknown): ArtifactRef | undefined {
  const { digest, kind, bytes }: Record<string, unknown> = Object(ref);
  if (typeof digest !== 'string' || !isDigest(digest)) return undefined;
  if (kind !== 'file' && kind !== 'dir') return undefined;
  if (!Number.isSafeInteger(bytes) || Number(bytes) < 0) return undefined;
  return { digest: artifactId(digest), kind, bytes: Number(bytes) };
}

function membersOf(data: Uint8Array): Record<string, unknown> {
  try {
    return Object(JSON.parse(Buffer.from(data).toString('utf8')));
  } catch {
    return {};
  }
}
