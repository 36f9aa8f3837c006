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

interface Serving {
  readonly process: FakeProcess;
  readonly keeper: KeepingPeer;
}

/** Whoever keeps outputs for others. Nothing is stored: orders, answers and hints may get lost. */
export class KeepServer {
  readonly serving = new Map<PeerId, Serving>();
}

/** Keepers as one process asks them, or is one. */
export class FakeOutputKeepers implements OutputKeepers {
  private readonly process: FakeProcess;
  private readonly server: KeepServer;

  constructor(process: FakeProcess, server: KeepServer) {
    this.process = process;
    this.server = server;
  }

  async keep(peer: PeerId, order: KeepOrder, signal: AbortSignal): Promise<KeepAnswer> {
    signal.throwIfAborted();
    const answer = await new Promise<KeepAnswer>((resolve) => {
      const end = (given: KeepAnswer): void => {
        cancel();
        signal.removeEventListener('abort', silent);
        resolve(given);
      };
      const silent = (): void => end({ kind: 'silent' });
      const cancel = this.process.after(KEEP_ANSWER_MS, silent);
      signal.addEventListener('abort', silent, { once: true });
      this.process.send(`keep.order ${peer}`, () => this.deliver(peer, order, end));
    });
    signal.throwIfAborted();
    return answer;
  }

  release(release: KeepRelease): void {
    this.process.send('keep.release', () => {
      for (const { process, keeper } of this.server.serving.values()) {
        const action = (): void => keeper.release(release);
        process.receive({ label: 'keep.release', lossy: true, action });
      }
    });
  }

  async serve(peer: PeerId, keeper: KeepingPeer, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const serving = { process: this.process, keeper };
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

  private deliver(peer: PeerId, order: KeepOrder, end: (answer: KeepAnswer) => void): void {
    const serving = this.server.serving.get(peer);
    if (serving === undefined) return;
    const { process, keeper } = serving;
    const asked = (): void => {
      const answer = keeper.keep(structuredClone(order));
      process.send('keep.answer', () => {
        const action = (): void => end(answer);
        this.process.receive({ label: 'keep.answer', lossy: true, action });
      });
    };
    process.receive({ label: `keep.order ${peer}`, lossy: true, action: asked });
  }
}
