import { type Msg, nuid } from '@nats-io/transport-node';
import {
  KEEP_ANSWER_MS,
  type KeepAnswer,
  type KeepingPeer,
  type KeepOrder,
  type KeepRelease,
  type OutputKeepers,
  type PeerId,
} from '@podmesh/core';
import {
  decodeKeepAnswer,
  decodeKeepOrder,
  decodeKeepRelease,
  encodeKeep,
  RELEASED_TASKS_MAX,
} from './keep-message.ts';
import type { MeshConnection } from './mesh-connection.ts';
import { MessageBox } from './message-box.ts';
import { isAborted } from './pause.ts';
import { asking } from './port-error.ts';
import { askerOfInbox, inboxSubject, KEEP_RELEASE_SUBJECT, keepSubject } from './subjects.ts';
import { unlessAborted } from './unless-aborted.ts';

/** Orders and hints that wait for this thread; whose order is dropped asks again. */
const WAITING_MAX = 1_024;

/** Orders to keep outputs, as requests over core NATS: they are repeated, so nothing of them is stored. */
export class JetStreamOutputKeepers implements OutputKeepers {
  readonly #mesh: MeshConnection;

  constructor(mesh: MeshConnection) {
    this.#mesh = mesh;
  }

  async keep(peer: PeerId, order: KeepOrder, signal: AbortSignal): Promise<KeepAnswer> {
    signal.throwIfAborted();
    try {
      const reply = inboxSubject(this.#mesh.member, nuid.next(), 0);
      const options = { timeoutMs: KEEP_ANSWER_MS, reply };
      const asked = this.#mesh.request(keepSubject(peer), encodeKeep(order), options);
      const { data } = await unlessAborted(asked, signal);
      return decodeKeepAnswer(data) ?? { kind: 'silent' };
    } catch {
      signal.throwIfAborted();
      return { kind: 'silent' };
    }
  }

  release({ run, tasks, as }: KeepRelease): void {
    if (!this.#mesh.isConnected || this.#mesh.isClosed) return;
    for (let from = 0; from < tasks.length; from += RELEASED_TASKS_MAX) {
      const some = { run, tasks: tasks.slice(from, from + RELEASED_TASKS_MAX), as };
      this.#mesh.nc.publish(KEEP_RELEASE_SUBJECT, encodeKeep(some));
    }
  }

  async serve(peer: PeerId, keeper: KeepingPeer, signal: AbortSignal): Promise<void> {
    if (isAborted(signal)) return;
    const orders = (message: Msg): void => this.#answer(message, keeper);
    const releases = ({ data }: Msg): void => {
      const release = decodeKeepRelease(data);
      if (release !== undefined) keeper.release(release);
    };
    await Promise.all([
      this.#listen(keepSubject(peer), orders, signal),
      this.#listen(KEEP_RELEASE_SUBJECT, releases, signal),
    ]);
  }

  async #listen(subject: string, take: (message: Msg) => void, signal: AbortSignal): Promise<void> {
    const box = await asking(
      'keep outputs for others',
      async () => new MessageBox(this.#mesh, subject, WAITING_MAX),
    );
    try {
      while (!isAborted(signal)) {
        const arrival = await box.next(Number.POSITIVE_INFINITY, signal);
        if (arrival.kind === 'message') take(arrival.message);
      }
    } finally {
      box.close();
    }
  }

  /** What is no order, or wants its answer where no asker can be, is dropped. */
  #answer({ data, reply }: Msg, keeper: KeepingPeer): void {
    if (reply === undefined || askerOfInbox(reply) === undefined) return;
    const order = decodeKeepOrder(data);
    if (order === undefined) return;
    const answer = encodeKeep(keeper.keep(order));
    if (this.#mesh.isConnected && !this.#mesh.isClosed) this.#mesh.nc.publish(reply, answer);
  }
}
