import {
  type ArtifactId,
  type FailureKind,
  judgeSpawn,
  type Logged,
  type PeerId,
  RERUNS_PER_TASK_MAX,
  type RunId,
  type RunState,
  type TaskId,
  tasksOf,
  unreachable,
} from '@podmesh/core';
import { countText, durationText } from '../render/amounts.ts';

/** What a follower of a run is told; with `--json` one line each (a documented shape). */
export type RunNews =
  | {
      readonly kind: 'published';
      readonly run: RunId;
      readonly name?: string;
      readonly tasks: number;
    }
  | {
      readonly kind: 'started';
      readonly task: TaskId;
      readonly attempt: number;
      readonly peer: PeerId;
    }
  | {
      readonly kind: 'succeeded';
      readonly task: TaskId;
      readonly attempt: number;
      readonly wallMs: number;
    }
  | { readonly kind: 'cached'; readonly task: TaskId }
  | {
      readonly kind: 'failed';
      readonly task: TaskId;
      readonly attempt: number;
      readonly failure: { readonly kind: FailureKind; readonly message: string };
      /** Whether there will be another attempt. */
      readonly retry: boolean;
      /** Whether there will be one if a person says so. */
      readonly held: boolean;
      /** Tasks that can no longer run because of it. */
      readonly skipped: number;
    }
  | { readonly kind: 'released'; readonly task: TaskId; readonly by: string }
  | {
      readonly kind: 'outputs-lost';
      readonly task: TaskId;
      readonly artifacts: readonly ArtifactId[];
      /** How often it is done again, this time included. */
      readonly rerun: number;
    }
  | {
      readonly kind: 'outputs-kept';
      readonly task: TaskId;
      readonly keepers: readonly PeerId[];
      readonly wanted: number;
      readonly short?: string;
    }
  | { readonly kind: 'input-pinned'; readonly from: string; readonly artifact: ArtifactId }
  | { readonly kind: 'expanded'; readonly task: TaskId; readonly count: number }
  | { readonly kind: 'not-needed'; readonly task: TaskId; readonly found: string }
  | { readonly kind: 'spawned'; readonly parent: TaskId; readonly tasks: readonly TaskId[] }
  | { readonly kind: 'dropped'; readonly parent: TaskId; readonly tasks: readonly TaskId[] }
  | { readonly kind: 'budget-spent'; readonly parent: TaskId; readonly cpuMs: number }
  | { readonly kind: 'cancel-requested'; readonly by: string; readonly reason: string };

/** The news in a fact that `state` has already folded; `skippedBefore` is the count of before. */
export function runNews(
  { event }: Logged,
  state: RunState,
  skippedBefore: number,
): RunNews | undefined {
  switch (event.kind) {
    case 'run-published': {
      const { run, name, taskCount: tasks } = event;
      return { kind: 'published', run, ...(name === undefined ? {} : { name }), tasks };
    }
    case 'attempt-started': {
      const { task, attempt, peer } = event;
      return { kind: 'started', task, attempt, peer };
    }
    case 'attempt-succeeded': {
      const { task, attempt, result } = event;
      return { kind: 'succeeded', task, attempt, wallMs: result.usage.wallMs };
    }
    case 'task-cached':
      return { kind: 'cached', task: event.task };
    case 'attempt-failed':
    case 'attempt-lost': {
      const { task, attempt } = event;
      const failure =
        event.kind === 'attempt-failed'
          ? { kind: event.failure.kind, message: event.failure.message }
          : { kind: 'peer-lost' as const, message: `peer ${event.peer} vanished: ${event.reason}` };
      const number = state.index.numberOf(task);
      const now = number === undefined ? undefined : state.tasks[number]?.kind;
      // While an input of it is made again it waits.
      const [retry, held] = [now === 'ready' || now === 'waiting', now === 'held'];
      const skipped = state.counts.skipped - skippedBefore;
      return { kind: 'failed', task, attempt, failure, retry, held, skipped };
    }
    case 'task-released':
      return { kind: 'released', task: event.task, by: event.by };
    case 'outputs-lost': {
      const { task, artifacts, rerun } = event;
      return { kind: 'outputs-lost', task, artifacts, rerun };
    }
    case 'outputs-kept': {
      const { task, keepers, wanted, short } = event;
      const told = short === undefined ? {} : { short };
      return { kind: 'outputs-kept', task, keepers, wanted, ...told };
    }
    case 'input-pinned':
      return { kind: 'input-pinned', from: event.from, artifact: event.artifact.digest };
    case 'run-cancel-requested':
      return { kind: 'cancel-requested', by: event.by, reason: event.reason };
    case 'when-decided': {
      const { task, met, found } = event;
      return met ? undefined : { kind: 'not-needed', task, found };
    }
    case 'job-expanded':
      return { kind: 'expanded', task: event.task, count: event.count };
    case 'expansion-failed': {
      const { task, failure } = event;
      const skipped = state.counts.skipped - skippedBefore;
      return { kind: 'failed', task, attempt: 0, failure, retry: false, held: false, skipped };
    }
    case 'tasks-spawned': {
      const spawned = judgeSpawn(state, event);
      if (spawned.kind !== 'accepted') return undefined;
      const tasks = tasksOf(state, spawned.jobs).map((task) => state.index.idOf(task));
      return { kind: 'spawned', parent: event.parent, tasks };
    }
    case 'sub-tasks-dropped':
      return { kind: 'dropped', parent: event.parent, tasks: event.tasks };
    case 'budget-spent':
      return { kind: 'budget-spent', parent: event.parent, cpuMs: event.cpuMs };
    case 'task-cancelled':
    case 'run-ended':
      return undefined;
    default:
      return unreachable(event);
  }
}

/** News of the run as a line for people. */
export function newsText(news: RunNews, run: RunId): string {
  switch (news.kind) {
    case 'published':
      return `run ${news.run} published`;
    case 'started':
      return `${news.task} started on ${news.peer} (attempt ${news.attempt})`;
    case 'succeeded':
      return `${news.task} succeeded in ${durationText(news.wallMs)}`;
    case 'input-pinned':
      return `${news.from} is ${news.artifact} for this run`;
    case 'cached':
      return `${news.task} cached`;
    case 'failed': {
      const { kind, message } = news.failure;
      const retry = news.retry ? '; will be tried again' : '';
      const held = news.held ? `; held for a person: podmesh explain ${run}/${news.task}` : '';
      const skipped = news.skipped > 0 ? `; skipped because of it: ${news.skipped}` : '';
      const attempt = news.attempt === 0 ? '' : ` (attempt ${news.attempt})`;
      const what = `${news.task} failed${attempt}`;
      return `${what}: ${kind}: ${message}${retry}${held}${skipped}`;
    }
    case 'released':
      return `${news.by} released ${news.task}; will be tried again`;
    case 'outputs-lost': {
      const times = news.rerun === 1 ? '' : ` (time ${news.rerun} of ${RERUNS_PER_TASK_MAX})`;
      return `${news.task} is done again${times}: nobody has ${countText(news.artifacts.length, 'output')} of it any more`;
    }
    case 'outputs-kept': {
      const where = `${news.task} is kept on ${news.keepers.join(', ')}`;
      if (news.short === undefined) return where;
      return `${where}; ${news.wanted} copies were asked for: ${news.short}`;
    }
    case 'not-needed':
      return `${news.task} is not needed: ${news.found}`;
    case 'expanded':
      return `${news.task} goes over ${countText(news.count, 'element')}`;
    case 'spawned': {
      const [first = '', ...more] = news.tasks;
      const others = more.length === 0 ? '' : ` and ${more.length} more`;
      return `${news.parent} spawned ${first}${others}`;
    }
    case 'dropped': {
      const [first = '', ...more] = news.tasks;
      const others = more.length === 0 ? '' : ` and ${more.length} more`;
      return `${news.parent} wants ${first}${others} no more`;
    }
    case 'budget-spent':
      return `what ${news.parent} spawned used ${Math.floor(news.cpuMs / 1_000)} s of CPU time, its budget: it is ended`;
    case 'cancel-requested':
      return `${news.by} cancelled the run${news.reason === '' ? '' : `: ${news.reason}`}`;
    default:
      return unreachable(news);
  }
}
