import {
  type ArtifactRef,
  type ExitReport,
  type Failure,
  isSettled,
  type RunState,
  spentAbove,
  spentText,
  type TaskId,
  type TaskState,
  unreachable,
} from '@podmesh/core';

/** A sub-task as its parent sees it. */
export interface SubTaskView {
  readonly task: TaskId;
  readonly state: TaskState['kind'];
  /** Whether nothing can happen to it any more. */
  readonly settled: boolean;
  readonly attempts: number;
  readonly cached?: boolean;
  readonly outputs?: Readonly<Record<string, ArtifactRef>>;
  readonly exit?: ExitReport;
  readonly log?: string;
  readonly failure?: Pick<Failure, 'kind' | 'message' | 'stderrTail'>;
}

/** What is known of a task; undefined when the run has none of that number. */
export function viewSubTask(state: RunState, task: number): SubTaskView | undefined {
  const now = state.tasks[task];
  if (now === undefined) return undefined;
  const attempts = 'past' in now ? (now.past?.length ?? 0) : 0;
  const isRunning = now.kind === 'running';
  return {
    task: state.index.idOf(task),
    state: now.kind,
    settled: isSettled(now),
    attempts: isRunning ? attempts + 1 : attempts,
    ...outcomeOf(now, spentMessage(state, task)),
  };
}

/** Why nothing more comes of what is below a budget that is used up. */
function spentMessage(state: RunState, task: number): string | undefined {
  const owner = spentAbove(state, task);
  return owner === undefined ? undefined : spentText(state, owner);
}

function outcomeOf(
  now: TaskState,
  spent: string | undefined,
): Pick<SubTaskView, 'cached' | 'outputs' | 'exit' | 'log' | 'failure'> {
  switch (now.kind) {
    case 'succeeded': {
      const { outputs, exit, log } = now.result;
      return { cached: now.cached, outputs, exit, log: log.digest };
    }
    case 'failed':
    case 'held': {
      const { kind, message, stderrTail, exit, log, outputs } = now.failure;
      return {
        failure: { kind, message, ...(stderrTail === undefined ? {} : { stderrTail }) },
        ...(exit === undefined ? {} : { exit }),
        ...(log === undefined ? {} : { log: log.digest }),
        ...(outputs === undefined ? {} : { outputs }),
      };
    }
    case 'skipped': {
      if (spent !== undefined) return { failure: { kind: 'cancelled', message: spent } };
      const message = `it needs ${now.because}, which did not succeed`;
      return { failure: { kind: 'dependency-failed', message } };
    }
    case 'cancelled':
      return { failure: { kind: 'cancelled', message: 'it was cancelled' } };
    case 'expanded':
    case 'waiting':
    case 'ready':
    case 'running':
      return {};
    default:
      return unreachable(now);
  }
}
