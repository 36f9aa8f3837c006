import {
  type ArtifactId,
  type ArtifactRef,
  type ArtifactStore,
  isSettled,
  lineOf,
  lossOf,
  RERUNS_PER_TASK_MAX,
  type RunLog,
  type RunState,
} from '@podmesh/core';
import { parseTree } from '@podmesh/jetstream';
import { LostFromStore } from '../store/lost-outputs.ts';
import type { RunFeed } from './run-feed.ts';
import type { RunFeeds } from './run-feeds.ts';
import { TaskApiError } from './task-api-error.ts';
import { LISTINGS_READ_MAX, WAIT_MS_MAX } from './task-api-limits.ts';
import type { TaskAtWork } from './task-at-work.ts';

export interface MakeAgainParts {
  readonly feeds: RunFeeds;
  readonly log: Pick<RunLog, 'append'>;
  /** Where it matters that something is not there. */
  readonly rollCall: (signal: AbortSignal) => Pick<ArtifactStore, 'stat' | 'get'>;
}

interface Wanted {
  readonly task: TaskAtWork;
  readonly digest: ArtifactId;
  /** Aborts when nobody waits any more. */
  readonly signal: AbortSignal;
}

/**
 * A task asks for bytes that nobody has: where one of its sub-tasks left them, that is done again, as for inputs of ordinary
 * tasks (DESIGN §7), and so often at most; meanwhile the cores of the task are for others. False when that is of no use.
 * Throws `mesh-unavailable` when it takes longer than a request waits, `artifact-missing` when something else was made.
 */
export async function makeAgain(parts: MakeAgainParts, wanted: Wanted): Promise<boolean> {
  const { task, signal } = wanted;
  return await parts.feeds.with(task.offer.run, (feed) =>
    task.whileWaiting(async () => {
      const late = AbortSignal.timeout(WAIT_MS_MAX);
      const either = AbortSignal.any([signal, late]);
      const made = await makeWithin(parts, feed, { ...wanted, signal: either });
      if (made !== 'late') return made;
      const message = 'nobody has these bytes any more, and they are being made again; ask again';
      throw new TaskApiError('mesh-unavailable', message);
    }),
  );
}

async function makeWithin(
  parts: MakeAgainParts,
  feed: RunFeed,
  wanted: Wanted,
): Promise<boolean | 'late'> {
  const { task, digest, signal } = wanted;
  let after = task.startedSequence;
  // Each time round somebody else was before us, or one more loss was told.
  for (let tries = 0; tries <= 2 * RERUNS_PER_TASK_MAX; tries += 1) {
    const state = await feed.find((folded) => folded, signal, after);
    if (state === undefined) return 'late';
    const found = await findProducer(parts, state, wanted);
    const known = found ?? underWay(state, task);
    if (known === undefined && tries > 0) throw madeOtherwise(digest);
    if (known === undefined) return false;
    if (found !== undefined) {
      const lost = new LostFromStore(parts.rollCall(signal));
      if ((await lost.missing([found.artifact])).length === 0) return true;
      const { run } = task.offer;
      const event = lossOf(state, run, found.producer, [digest]);
      if (event === undefined) return false;
      const behind = state.lossSequence;
      const appended = await parts.log.append({ ...event, behind }, behind);
      if (appended.ok) after = appended.value;
      else await feed.find((folded) => folded.lossSequence > behind || undefined, signal);
    }
    const { producer } = known;
    const end = (folded: RunState) => isSettledTask(folded, producer) || undefined;
    if ((await feed.find(end, signal, after)) === undefined) return 'late';
  }
  return false;
}

function madeOtherwise(digest: ArtifactId): TaskApiError {
  const message = `nobody has ${digest} any more, and the sub-task that left it was done again and left something else: look at its outputs again`;
  return new TaskApiError('artifact-missing', message);
}

interface Producer {
  readonly producer: number;
  readonly artifact: ArtifactRef;
}

/** Of what is below the task, who left these bytes: as an output, or in a directory. */
async function findProducer(
  { rollCall }: MakeAgainParts,
  state: RunState,
  { task, digest, signal }: Wanted,
): Promise<Producer | undefined> {
  const outputs = [...outputsBelow(state, task)];
  const whole = outputs.find(({ artifact }) => artifact.digest === digest);
  if (whole !== undefined) return whole;
  const store = rollCall(signal);
  const bound = { left: LISTINGS_READ_MAX };
  for (const output of outputs) {
    const { artifact } = output;
    if (artifact.kind === 'dir' && (await isBelow(store, artifact.digest, digest, bound)))
      return output;
  }
  return undefined;
}

function* outputsBelow(state: RunState, task: TaskAtWork): Iterable<Producer> {
  for (const producer of tasksBelow(state, task)) {
    const now = state.tasks[producer];
    if (now?.kind !== 'succeeded') continue;
    for (const artifact of Object.values(now.result.outputs)) yield { producer, artifact };
  }
}

/** Somebody found out before, and it is being done again: what it leaves is not known as yet. */
function underWay(state: RunState, task: TaskAtWork): { readonly producer: number } | undefined {
  for (const producer of tasksBelow(state, task)) {
    if (state.reruns.has(producer) && !isSettledTask(state, producer)) return { producer };
  }
  return undefined;
}

function* tasksBelow(state: RunState, { offer }: TaskAtWork): Iterable<number> {
  const own = state.index.numberOf(offer.task);
  if (own === undefined) return;
  for (const job of state.parents.keys()) {
    const first = state.index.firstTaskOf(job);
    if (![...lineOf(state, first)].includes(own)) continue;
    for (let at = first; at < first + state.index.sizeOf(job); at += 1) yield at;
  }
}

/** A listing that is lost tells nothing: then the directory itself is what has to be asked for. */
async function isBelow(
  store: Pick<ArtifactStore, 'get'>,
  directory: ArtifactId,
  digest: ArtifactId,
  bound: { left: number },
): Promise<boolean> {
  if (bound.left <= 0) return false;
  bound.left -= 1;
  const pieces: Uint8Array[] = [];
  try {
    for await (const piece of store.get(directory)) pieces.push(piece);
  } catch {
    return false;
  }
  const { entries } = parseTree(Buffer.concat(pieces), directory);
  for (const entry of entries) {
    if (entry.kind === 'symlink' || !('digest' in entry)) continue;
    if (entry.digest === digest) return true;
    if (entry.kind === 'tree' && (await isBelow(store, entry.digest, digest, bound))) return true;
  }
  return false;
}

function isSettledTask(state: RunState, task: number): boolean {
  const now = state.tasks[task];
  return now !== undefined && isSettled(now);
}
