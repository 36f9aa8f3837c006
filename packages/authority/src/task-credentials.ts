import type { ClaimId, RunId, TaskId } from '@podmesh/core';
import type { TaskSigning } from './authority.ts';
import { credentialsText, signUser } from './credentials.ts';
import { NatsKey } from './nats-key.ts';

export interface TaskIdentity {
  readonly run: RunId;
  readonly task: TaskId;
  /** Which attempt: a late one reaches nothing of the next. */
  readonly claim: ClaimId;
  /** Milliseconds since 1970: nobody can take them back earlier, so they are short. */
  readonly expiresAtMs: number;
}

/**
 * Makes credentials for tasks, on the peer that runs them: they reach `pm.task.<run>.<task>.<claim>.>` and
 * nothing else, whatever the peer says. About 0.3 ms each, most of it in Node's own threads.
 */
export class TaskSigner {
  readonly #account: string;
  readonly #signer: NatsKey;

  /** Throws a `TypeError` when the seed is damaged. */
  constructor({ account, seed }: TaskSigning) {
    this.#account = account;
    this.#signer = NatsKey.fromSeed(seed);
  }

  /** The text of a `.creds` file. */
  async mint({ run, task, claim, expiresAtMs }: TaskIdentity): Promise<string> {
    const key = NatsKey.create('user');
    const identity = {
      name: `task-${claim}`,
      publicKey: key.publicText,
      tags: [`run:${run}`, `task:${task}`, `claim:${claim}`],
      expiresAtMs,
    };
    const token = await signUser(identity, { account: this.#account, signer: this.#signer });
    return credentialsText(token, key);
  }
}
