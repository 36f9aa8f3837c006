/** Why a request was refused: a word for programs, and a sentence for people. */
export type TaskApiErrorCode =
  | 'bad-request'
  | 'not-found'
  | 'method-not-allowed'
  | 'too-large'
  | 'too-many-requests'
  | 'range-not-satisfiable'
  | 'artifact-missing'
  | 'digest-mismatch'
  | 'disk-full'
  | 'budget-exceeded'
  | 'conflict'
  | 'attempt-over'
  | 'mesh-unavailable'
  | 'timeout'
  | 'internal';

const STATUS: Readonly<Record<TaskApiErrorCode, number>> = {
  'bad-request': 400,
  'not-found': 404,
  'method-not-allowed': 405,
  timeout: 408,
  conflict: 409,
  'attempt-over': 410,
  'too-large': 413,
  'range-not-satisfiable': 416,
  'digest-mismatch': 422,
  'too-many-requests': 429,
  'artifact-missing': 404,
  'budget-exceeded': 403,
  internal: 500,
  'mesh-unavailable': 503,
  'disk-full': 507,
};

/** An answer that is no success; its body is `{error: {code, message}}`. */
export class TaskApiError extends Error {
  readonly code: TaskApiErrorCode;

  constructor(code: TaskApiErrorCode, message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'TaskApiError';
    this.code = code;
  }

  get status(): number {
    return STATUS[this.code];
  }
}

/** All codes, for the description of the API. */
export const TASK_API_ERROR_CODES = Object.keys(STATUS);
