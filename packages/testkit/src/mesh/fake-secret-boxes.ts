import type { BoxQuestion, PeerId, RunId, SecretBoxes } from '@podmesh/core';
import type { FakeProcess } from '../process/fake-process.ts';

type Give = (question: BoxQuestion) => Promise<string | undefined>;

/** What NATS holds of sealed secrets, and who answers for them. */
export class BoxServer {
  readonly boxes = new Map<string, string>();
  readonly givers = new Set<Give>();
}

/** Sealed boxes as one process sees them. */
export class FakeSecretBoxes implements SecretBoxes {
  private readonly process: FakeProcess;
  private readonly server: BoxServer;

  constructor(process: FakeProcess, server: BoxServer) {
    this.process = process;
    this.server = server;
  }

  put(run: RunId, peer: PeerId, box: string): Promise<void> {
    return this.process.call(`boxes.put ${run} ${peer}`, () => {
      this.server.boxes.set(`${run}.${peer}`, box);
    });
  }

  find(run: RunId, peer: PeerId): Promise<string | undefined> {
    return this.process.call(`boxes.find ${run} ${peer}`, () =>
      this.server.boxes.get(`${run}.${peer}`),
    );
  }

  discard(run: RunId): Promise<void> {
    return this.process.call(`boxes.discard ${run}`, () => {
      for (const key of this.server.boxes.keys()) {
        if (key.startsWith(`${run}.`)) this.server.boxes.delete(key);
      }
    });
  }

  async ask(question: BoxQuestion): Promise<string | undefined> {
    const givers = await this.process.call(`boxes.ask ${question.run}`, () => [
      ...this.server.givers,
    ]);
    for (const give of givers) {
      const box = await give(question);
      if (box !== undefined) return box;
    }
    return undefined;
  }

  async answer(give: Give, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    this.server.givers.add(give);
    await new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    this.server.givers.delete(give);
  }
}
