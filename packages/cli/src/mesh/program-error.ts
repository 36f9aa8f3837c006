import { type Failure, PYTHON_RESULT, type RunRecord, type TaskRecord } from '@podmesh/core';
import { type Client, readWhole } from '@podmesh/sdk';

/** How the record of a Python job that failed names what went wrong. */
export interface ProgramError {
  /** Such as `ValueError`. */
  readonly type: string;
  readonly message: string;
}

/** A larger record is not fetched for one line of it. */
const RECORD_BYTES_MAX = 4 * 1024 * 1024;
/** Of a run with more failures than this the rest is told without. */
const ERRORS_READ_MAX = 50;

/** The record, with what Python jobs say of their failures in the place of the exit code. */
export async function withProgramErrors(client: Client, record: RunRecord): Promise<RunRecord> {
  let left = ERRORS_READ_MAX;
  const tasks: TaskRecord[] = [];
  for (const task of record.tasks) {
    const hasOne = task.failure !== undefined && task.outputs[PYTHON_RESULT] !== undefined;
    const error = hasOne && left > 0 ? await readProgramError(client, task) : undefined;
    if (hasOne) left -= 1;
    tasks.push(withMessage(task, error));
  }
  return { ...record, tasks };
}

function withMessage(task: TaskRecord, error: ProgramError | undefined): TaskRecord {
  if (error === undefined || task.failure === undefined) return task;
  return { ...task, failure: withError(task.failure, error) };
}

/** The failure in the program's words. What ended it from outside is told by the peer that did it. */
export function withError<T extends Pick<Failure, 'kind' | 'message'>>(
  failure: T,
  error: ProgramError,
): T {
  return failure.kind === 'exit' ? { ...failure, message: inOneLine(error) } : failure;
}

/** `ValueError: what it says`. */
function inOneLine({ type, message }: ProgramError): string {
  return message === '' ? type : `${type}: ${message.trim().replace(/\s+/g, ' ')}`;
}

/** What the task's record says; undefined when it left none, or none that can be read now. */
export async function readProgramError(
  client: Client,
  { outputs, failure }: Pick<TaskRecord, 'outputs' | 'failure'>,
): Promise<ProgramError | undefined> {
  const digest = outputs[PYTHON_RESULT];
  if (failure === undefined || digest === undefined) return undefined;
  try {
    const ref = (await client.artifacts.stat([digest])).get(digest);
    if (ref === undefined || ref.kind === 'dir' || ref.bytes > RECORD_BYTES_MAX) return undefined;
    return toProgramError(JSON.parse((await readWhole(client, digest)).toString('utf8')));
  } catch {
    // A courtesy; that the task failed is known without it.
    return undefined;
  }
}

function toProgramError(record: unknown): ProgramError | undefined {
  if (typeof record !== 'object' || record === null) return undefined;
  const { status, error_type: type, error } = record as Readonly<Record<string, unknown>>;
  if (status !== 'error' || typeof type !== 'string' || typeof error !== 'string') return undefined;
  return { type, message: error };
}
