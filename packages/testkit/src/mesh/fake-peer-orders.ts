import {
  type ObeyOrder,
  PEER_ORDER_ANSWER_MS,
  type PeerId,
  type PeerOrder,
  type PeerOrderAnswer,
  type PeerOrders,
} from '@podmesh/core';
import type { FakeProcess } from '../process/fake-process.ts';
import { FakeRequests, RequestServer } from './fake-requests.ts';

/** Whoever can be told something. */
export class OrderServer extends RequestServer<PeerOrder, PeerOrderAnswer> {
  constructor() {
    super('order', PEER_ORDER_ANSWER_MS);
  }
}

/** Orders as one process gives or gets them. */
export class FakePeerOrders implements PeerOrders {
  private readonly requests: FakeRequests<PeerOrder, PeerOrderAnswer>;

  constructor(process: FakeProcess, server: OrderServer) {
    this.requests = new FakeRequests(process, server);
  }

  ask(peer: PeerId, order: PeerOrder, signal: AbortSignal): Promise<PeerOrderAnswer> {
    return this.requests.ask(peer, order, signal);
  }

  serve(peer: PeerId, obey: ObeyOrder, signal: AbortSignal): Promise<void> {
    return this.requests.serve(peer, obey, signal);
  }
}
