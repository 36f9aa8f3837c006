import type { ClaimId, RunId, TaskId } from '../words/ids.ts';

/** Whose questions: a late attempt of the same task has another claim, and so asks elsewhere. */
export interface AskingAttempt {
  readonly run: RunId;
  readonly task: TaskId;
  readonly claim: ClaimId;
}

/** What a task asks its peer by a message, in the words of the API at its socket. */
export interface TaskQuestion {
  readonly method: string;
  /** Such as `/v1/tasks/ID`. */
  readonly path: string;
  /** Of methods that have no body; such as `wait=30s`. */
  readonly query: string;
  /** Of what was asked for: which bytes. */
  readonly range?: string;
  readonly body: Uint8Array;
}

export interface TaskReply {
  /** As over HTTP. */
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** The code of an error, which the body says too. */
  readonly error?: string;
  readonly body: Uint8Array;
}

/** Tasks that ask their peer over the connection of the mesh, as one peer answers them. */
export interface TaskQuestions {
  /** Where the tasks of an attempt ask, and where they may listen for answers; for their environment. */
  placesOf(attempt: AskingAttempt): { readonly subject: string; readonly inbox: string };
  /**
   * Answers what an attempt asks until the signal aborts; nobody does from then on. What wants its answer elsewhere than
   * the attempt may listen is dropped. `answer` must not throw.
   */
  answer(
    attempt: AskingAttempt,
    answer: (question: TaskQuestion) => Promise<TaskReply>,
    signal: AbortSignal,
  ): void;
}

/** Bytes of a question or an answer that is one message: less than a server takes, heads included. */
export const TASK_MESSAGE_BYTES_MAX = 1024 * 1024 - 8 * 1024;
