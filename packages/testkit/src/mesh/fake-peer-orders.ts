import {
  type ObeyOrder,
  PEER_ORDER_ANSWER_MS,
  type PeerId,
  type PeerOrder,
  type PeerOrderAnswer,
  type PeerOrders,
} from '@podmesh/core';
import type { FakeProcess } from '../process/fake-process.ts';

interface Serving {
  readonly process: FakeProcess;
  readonly obey: ObeyOrder;
}

/** Whoever can be told something. Nothing is stored: orders and answers may get lost. */
export class OrderServer {
  readonly serving = new Map<PeerId, Serving>();
}

/** Orders as one process gives or gets them. */
export class FakePeerOrders implements PeerOrders {
  private readonly process: FakeProcess;
  private readonly server: OrderServer;

  constructor(process: FakeProcess, server: OrderServer) {
    this.process = process;
    this.server = server;
  }

  async ask(peer: PeerId, order: PeerOrder, signal: AbortSignal): Promise<PeerOrderAnswer> {
    signal.throwIfAborted();
    const answer = await new Promise<PeerOrderAnswer>((resolve) => {
      const end = (given: PeerOrderAnswer): void => {
        cancel();
        signal.removeEventListener('abort', silent);
        resolve(given);
      };
      const silent = (): void => end({ kind: 'silent' });
      const cancel = this.process.after(PEER_ORDER_ANSWER_MS, silent);
      signal.addEventListener('abort', silent, { once: true });
      this.process.send(`order ${peer}`, () => this.deliver(peer, order, end));
    });
    signal.throwIfAborted();
    return answer;
  }

  async serve(peer: PeerId, obey: ObeyOrder, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const serving = { process: this.process, obey };
    const end = (): void => {
      if (this.server.serving.get(peer) === serving) this.server.serving.delete(peer);
    };
    this.server.serving.set(peer, serving);
    const forget = this.process.onDeath(end);
    await new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    forget();
    end();
  }

  private deliver(peer: PeerId, order: PeerOrder, end: (answer: PeerOrderAnswer) => void): void {
    const serving = this.server.serving.get(peer);
    if (serving === undefined) return;
    const { process, obey } = serving;
    const asked = (): void => {
      void obey(structuredClone(order)).then((answer) => {
        process.send('order.answer', () => {
          const action = (): void => end(answer);
          this.process.receive({ label: 'order.answer', lossy: true, action });
        });
      });
    };
    process.receive({ label: `order ${peer}`, lossy: true, action: asked });
  }
}
