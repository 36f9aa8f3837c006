import { chmodSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import type { Server, Socket } from 'node:net';
import { join } from 'node:path';
import type { AskingAttempt, TaskQuestion, TaskQuestions, TaskReply } from '@podmesh/core';
import type { Logger } from 'pino';
import { CREDENTIALS_LATE_MS, TASK_DOOR_CONNECTIONS_MAX } from './task-api-limits.ts';
import type { TaskAtWork } from './task-at-work.ts';

/** In the attempt's directory, which its container has at `/run/podmesh`. */
const CREDENTIALS = 'nats.creds';
const CREDENTIALS_INSIDE = `/run/podmesh/${CREDENTIALS}`;
/** On the container's own loopback; not the usual one, where a task may want a server of its own. */
const PORT_INSIDE = 14_222;

export interface TaskLineParts {
  readonly questions: TaskQuestions;
  /** Credentials that reach the questions of this attempt and nothing else. */
  readonly mint: (attempt: AskingAttempt, expiresAtMs: number) => Promise<string>;
  /** Listens in the network of a container, by a process of it. */
  readonly listen: (pid: number, port: number) => Promise<Server>;
  /** To the mesh's server. */
  readonly letIn: (inside: Socket, signal: AbortSignal) => void;
  readonly nowMs: () => number;
  readonly logger: Logger;
}

/** How one attempt reaches the mesh. */
export interface TaskLine {
  readonly env: Readonly<Record<string, string>>;
  /** Opens the way, for a container that is there. Never throws: a task may do without. */
  readonly attach: (pid: number) => Promise<void>;
}

/** Tasks with a network speak NATS: to their peer, and to nobody else. What an attempt got ends with it. */
export class TaskLines {
  readonly #parts: TaskLineParts;
  /** Attempts at work that have credentials, and where these are. */
  readonly #open = new Map<
    TaskAtWork,
    { readonly attempt: AskingAttempt; readonly file: string; readonly expiresAtMs: number }
  >();

  constructor(parts: TaskLineParts) {
    this.#parts = parts;
  }

  async open(
    task: TaskAtWork,
    directory: string,
    answer: (question: TaskQuestion) => Promise<TaskReply>,
  ): Promise<TaskLine> {
    const { questions, mint, nowMs } = this.#parts;
    const { run, task: id, timeoutMs } = task.offer;
    const attempt = { run, task: id, claim: task.claim };
    const expiresAtMs = nowMs() + timeoutMs + CREDENTIALS_LATE_MS;
    const credentials = await mint(attempt, expiresAtMs);
    const { signal } = task.over;
    if (!signal.aborted) {
      const file = join(directory, CREDENTIALS);
      writeCredentials(file, credentials);
      this.#open.set(task, { attempt, file, expiresAtMs });
      const end = (): void => {
        this.#open.delete(task);
        rmSync(file, { force: true });
      };
      signal.addEventListener('abort', end, { once: true });
    }
    questions.answer(attempt, answer, signal);
    const { subject, inbox } = questions.placesOf(attempt);
    return {
      env: {
        PODMESH_NATS_URL: `nats://127.0.0.1:${PORT_INSIDE}`,
        PODMESH_NATS_CREDS: CREDENTIALS_INSIDE,
        PODMESH_NATS_SUBJECT: subject,
        PODMESH_NATS_INBOX: inbox,
      },
      attach: (pid) => this.#attach(task, pid),
    };
  }

  /**
   * There is another key to sign with, and what the one before signed is refused: all attempts at work get credentials of the
   * new one, in the same file and good as long. A client that reads the file when it connects again goes on. Never throws.
   */
  async reissue(): Promise<void> {
    for (const [task, { attempt, file, expiresAtMs }] of [...this.#open]) {
      try {
        const credentials = await this.#parts.mint(attempt, expiresAtMs);
        if (this.#open.has(task)) writeCredentials(file, credentials);
      } catch (error) {
        const { run, task: id } = attempt;
        this.#parts.logger.warn(
          { run, task: id, err: error },
          'a task keeps credentials of before',
        );
      }
    }
  }

  async #attach({ over: { signal }, offer }: TaskAtWork, pid: number): Promise<void> {
    try {
      const server = await this.#parts.listen(pid, PORT_INSIDE);
      const close = (): void => void server.close();
      if (signal.aborted) close();
      else signal.addEventListener('abort', close, { once: true });
      // A connection that cannot be accepted is that task's to open again.
      server.on('error', () => undefined);
      server.maxConnections = TASK_DOOR_CONNECTIONS_MAX;
      server.on('connection', (inside: Socket) => this.#parts.letIn(inside, signal));
    } catch (error) {
      const { run, task } = offer;
      this.#parts.logger.warn({ run, task, err: error }, 'a task cannot reach NATS from inside');
    }
  }
}

/** Whole or not at all. */
function writeCredentials(file: string, credentials: string): void {
  // Over those of a daemon that was killed, which nobody may write to.
  writeFileSync(`${file}.new`, credentials);
  // Any user that the image has; outside nobody else can enter the directory.
  chmodSync(`${file}.new`, 0o444);
  renameSync(`${file}.new`, file);
}
