import { type Msg, nuid } from '@nats-io/transport-node';
import {
  type ObeyOrder,
  PEER_ORDER_ANSWER_MS,
  type PeerId,
  type PeerOrder,
  type PeerOrderAnswer,
  type PeerOrders,
} from '@podmesh/core';
import type { MeshConnection } from './mesh-connection.ts';
import { MessageBox } from './message-box.ts';
import { isAborted } from './pause.ts';
import { decodePeerOrder, decodePeerOrderAnswer, encodePeerOrder } from './peer-order-message.ts';
import { asking } from './port-error.ts';
import { askerOfInbox, inboxSubject, orderSubject } from './subjects.ts';
import { unlessAborted } from './unless-aborted.ts';

/** Orders that wait for this thread; whose order is dropped asks again. */
const WAITING_MAX = 64;

/** Orders to single peers, as requests over core NATS: nothing of them is stored. */
export class JetStreamPeerOrders implements PeerOrders {
  readonly #mesh: MeshConnection;

  constructor(mesh: MeshConnection) {
    this.#mesh = mesh;
  }

  async ask(peer: PeerId, order: PeerOrder, signal: AbortSignal): Promise<PeerOrderAnswer> {
    signal.throwIfAborted();
    try {
      const reply = inboxSubject(this.#mesh.member, nuid.next(), 0);
      const options = { timeoutMs: PEER_ORDER_ANSWER_MS, reply };
      const asked = this.#mesh.request(orderSubject(peer), encodePeerOrder(order), options);
      const { data } = await unlessAborted(asked, signal);
      return decodePeerOrderAnswer(data) ?? { kind: 'silent' };
    } catch {
      signal.throwIfAborted();
      return { kind: 'silent' };
    }
  }

  async serve(peer: PeerId, obey: ObeyOrder, signal: AbortSignal): Promise<void> {
    if (isAborted(signal)) return;
    const box = await asking(
      'hear orders',
      async () => new MessageBox(this.#mesh, orderSubject(peer), WAITING_MAX),
    );
    try {
      while (!isAborted(signal)) {
        const arrival = await box.next(Number.POSITIVE_INFINITY, signal);
        if (arrival.kind === 'message') await this.#answer(arrival.message, obey);
      }
    } finally {
      box.close();
    }
  }

  /** What is no order, or wants its answer where no asker can be, is dropped. */
  async #answer({ data, reply }: Msg, obey: ObeyOrder): Promise<void> {
    if (reply === undefined || askerOfInbox(reply) === undefined) return;
    const order = decodePeerOrder(data);
    const answer = order === undefined ? NO_ORDER : await obey(order);
    if (this.#mesh.isConnected && !this.#mesh.isClosed)
      this.#mesh.nc.publish(reply, encodePeerOrder(answer));
  }
}

const NO_ORDER = { kind: 'refused', message: 'that is no order that this version knows' } as const;
