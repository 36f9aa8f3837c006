import {
  KEEP_ANSWER_MS,
  type KeepAnswer,
  type KeepingPeer,
  type KeepOrder,
  type KeepRelease,
  type OutputKeepers,
  type PeerId,
} from '@podmesh/core';
import type { FakeProcess } from '../process/fake-process.ts';
import { FakeRequests, RequestServer } from './fake-requests.ts';

/** Whoever keeps outputs for others, and what they hear of those that may go: hints may get lost, too. */
export class KeepServer extends RequestServer<KeepOrder, KeepAnswer> {
  readonly hearing = new Map<KeepingPeer, FakeProcess>();

  constructor() {
    super('keep.order', KEEP_ANSWER_MS);
  }
}

/** Keepers as one process asks them, or is one. */
export class FakeOutputKeepers implements OutputKeepers {
  private readonly process: FakeProcess;
  private readonly server: KeepServer;
  private readonly requests: FakeRequests<KeepOrder, KeepAnswer>;

  constructor(process: FakeProcess, server: KeepServer) {
    this.process = process;
    this.server = server;
    this.requests = new FakeRequests(process, server);
  }

  keep(peer: PeerId, order: KeepOrder, signal: AbortSignal): Promise<KeepAnswer> {
    return this.requests.ask(peer, order, signal);
  }

  release(release: KeepRelease): void {
    this.process.send('keep.release', () => {
      for (const [keeper, process] of this.server.hearing) {
        const action = (): void => keeper.release(release);
        process.receive({ label: 'keep.release', lossy: true, action });
      }
    });
  }

  async serve(peer: PeerId, keeper: KeepingPeer, signal: AbortSignal): Promise<void> {
    this.server.hearing.set(keeper, this.process);
    const forget = this.process.onDeath(() => this.server.hearing.delete(keeper));
    await this.requests.serve(peer, (order) => keeper.keep(order), signal);
    forget();
    this.server.hearing.delete(keeper);
  }
}
