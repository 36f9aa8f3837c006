import type { Readable } from 'node:stream';
import type { TaskAtWork } from './task-at-work.ts';

/** What came: an HTTP request, or a message with all of one in it. */
export interface TaskApiRequest extends Readable {
  readonly headers: { readonly range?: string | undefined };
  /** Nothing of the body is missing, once it has ended. */
  readonly complete: boolean;
}

/** One request of a task. */
export interface TaskApiCall {
  readonly task: TaskAtWork;
  readonly request: TaskApiRequest;
  /** What stands in the path where the route has a name in braces. */
  readonly path: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  /** Aborts when nobody waits for the answer any more, or the attempt is over. */
  readonly signal: AbortSignal;
}

/** What is answered: JSON, nothing at all, or bytes as they come. */
export type TaskApiAnswer =
  | { readonly kind: 'json'; readonly status: 200 | 201; readonly value: object }
  | { readonly kind: 'done' }
  | {
      readonly kind: 'bytes';
      readonly status: 200 | 206;
      readonly headers: Readonly<Record<string, string>>;
      readonly source: AsyncIterable<Uint8Array>;
      /** Called once, when all is sent or nobody takes it. */
      readonly onEnd: () => void;
    };

/** One entry of the API. Throws `TaskApiError`. */
export interface TaskApiRoute {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Such as `/v1/tasks/{id}`. */
  readonly path: string;
  readonly answer: (call: TaskApiCall) => Promise<TaskApiAnswer>;
}

export const json = (value: object, status: 200 | 201 = 200): TaskApiAnswer => ({
  kind: 'json',
  status,
  value,
});
