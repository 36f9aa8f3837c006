import { type ArtifactId, artifactId, isDigest, type TaskId, taskId } from '@podmesh/core';
import { CliError } from '../cli-error.ts';

/** `RUN` or `RUN/TASK` as typed; the run is still to be found. */
export interface RunTarget {
  readonly run: string;
  readonly task?: TaskId;
}

/** What `podmesh get` is asked for. */
export type OutputTarget =
  | { readonly kind: 'artifact'; readonly artifact: ArtifactId }
  | {
      readonly kind: 'output';
      readonly run: string;
      /** A job, or one element of an array job. */
      readonly task: TaskId;
      readonly output: string;
    };

/** Reads `RUN`, refusing `RUN/TASK`. */
export function parseRun(text: string): string {
  const { run, task } = parseRunTarget(text);
  if (task === undefined) return run;
  throw new CliError('arguments', `this is about a whole run, and ${text} names a task`, {
    advice: `Write just ${run}.`,
  });
}

/** Reads `RUN[/TASK]`. */
export function parseRunTarget(text: string): RunTarget {
  const [run = '', task, ...more] = text.split('/');
  if (run === '' || task === '' || more.length > 0) {
    throw new CliError('arguments', `${JSON.stringify(text)} does not name a run or a task`, {
      advice: 'Write RUN or RUN/TASK, such as last/j1 or last/j1:3.',
    });
  }
  return task === undefined ? { run } : { run, task: parseTask(task) };
}

/** Reads `RUN/JOB/OUTPUT`, `RUN/JOB:INDEX/OUTPUT` or `sha256:…`. */
export function parseOutputTarget(text: string): OutputTarget {
  if (isDigest(text)) return { kind: 'artifact', artifact: artifactId(text) };
  const [run = '', task = '', ...rest] = text.split('/');
  const output = rest.join('/');
  if (run === '' || task === '' || output === '') {
    throw new CliError('arguments', `${JSON.stringify(text)} does not name an output`, {
      advice: text.startsWith('sha256:')
        ? 'A digest is "sha256:" and 64 lower-case hex digits.'
        : 'Write RUN/JOB/OUTPUT, RUN/JOB:INDEX/OUTPUT or sha256:DIGEST.',
    });
  }
  return { kind: 'output', run, task: parseTask(task), output };
}

/** Reads a task: a job, or one element of an array job. */
export function parseTask(text: string): TaskId {
  try {
    return taskId(text);
  } catch (error) {
    throw new CliError('arguments', `${JSON.stringify(text)} cannot be a task`, {
      advice: 'A task is a job, or job:INDEX of an array job.',
      cause: error,
    });
  }
}
