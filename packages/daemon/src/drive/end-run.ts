import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import {
  type ArtifactStore,
  artifactId,
  type RunEnded,
  type RunId,
  type RunLog,
  type RunPublished,
  type RunState,
  recordHeader,
  recordTask,
  type Sequence,
  type TaskState,
} from '@podmesh/core';
import { sha256 } from '../store/local-task-files.ts';
import { putText } from '../store/put-text.ts';

export interface EndRunParts {
  readonly log: RunLog;
  readonly artifacts: ArtifactStore;
}

interface End {
  readonly published: { readonly event: RunPublished; readonly at: string };
  readonly state: RunEnded['state'];
  readonly counts: RunEnded['counts'];
}

/**
 * Writes the result record and then the run's last fact, behind the losses that are folded. Refused: another
 * driver was first, or something was lost that we have not seen.
 */
export async function endRun(parts: EndRunParts, state: RunState, end: End): Promise<void> {
  const { run } = end.published.event;
  const behind = state.lossSequence;
  const ref = measure(recordText(state, end));
  await parts.artifacts.put(ref, Readable.from(recordText(state, end)));
  const short = state.tasks.reduce((sum, task) => sum + (isShort(task) ? 1 : 0), 0);
  const told = short === 0 ? {} : { short };
  await parts.log.append(
    { kind: 'run-ended', run, state: end.state, counts: end.counts, record: ref.digest, ...told },
    behind,
  );
}

function isShort(task: TaskState): boolean {
  return task.kind === 'succeeded' && task.short !== undefined;
}

/** Ends a run whose graph nobody can read: it must not be driven for ever. */
export async function endUnreadable(
  parts: EndRunParts,
  { run, name, taskCount }: RunPublished,
  error: unknown,
): Promise<void> {
  const problem = `the graph of the run cannot be read: ${error instanceof Error ? error.message : error}`;
  const text = JSON.stringify({ podmeshRecord: 1, run, name, state: 'failed', problem, tasks: [] });
  const record = await putText(parts.artifacts, sha256, 'file', text);
  const counts = { succeeded: 0, cached: 0, failed: taskCount, skipped: 0, cancelled: 0 };
  await parts.log.append(
    { kind: 'run-ended', run, state: 'failed', counts, record: record.digest, problem },
    await lastLoss(parts.log, run),
  );
}

/** Where the end has to land although there is no state to fold it into. */
async function lastLoss(log: RunLog, run: RunId): Promise<Sequence> {
  let last = 0;
  for await (const batch of log.read(run)) {
    for (const { event, sequence } of batch) if (event.kind === 'outputs-lost') last = sequence;
  }
  return last;
}

/** The record piece by piece: that of a large run does not fit into memory as one text. */
function* recordText(state: RunState, end: End): Iterable<Uint8Array> {
  const { event, at } = end.published;
  const header = recordHeader(event, state, { published: at, state: end.state });
  yield Buffer.from(`${JSON.stringify(header).slice(0, -1)},"tasks":[\n`);
  const { taskCount } = state.index;
  for (let task = 0; task < taskCount; task += 1) {
    const comma = task + 1 < taskCount ? ',' : '';
    yield Buffer.from(`${JSON.stringify(recordTask(state, task))}${comma}\n`);
  }
  yield Buffer.from(']}\n');
}

function measure(text: Iterable<Uint8Array>) {
  const hash = createHash('sha256');
  let bytes = 0;
  for (const piece of text) {
    hash.update(piece);
    bytes += piece.length;
  }
  return { digest: artifactId(`sha256:${hash.digest('hex')}`), kind: 'file' as const, bytes };
}
