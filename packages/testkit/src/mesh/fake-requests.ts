import type { PeerId } from '@podmesh/core';
import type { FakeProcess } from '../process/fake-process.ts';

type Answers<Request, Answer> = (request: Request) => Answer | Promise<Answer>;

interface Serving<Request, Answer> {
  readonly process: FakeProcess;
  readonly answers: Answers<Request, Answer>;
}

/** Who answers requests to one peer. Nothing is stored: requests and answers may get lost. */
export class RequestServer<Request, Answer> {
  readonly serving = new Map<PeerId, Serving<Request, Answer>>();
  readonly label: string;
  readonly answerMs: number;

  /** `answerMs`: how long whoever asks waits; `label`: what traces call it. */
  constructor(label: string, answerMs: number) {
    this.label = label;
    this.answerMs = answerMs;
  }
}

/** Requests as one process makes or answers them. */
export class FakeRequests<Request, Answer> {
  private readonly process: FakeProcess;
  private readonly server: RequestServer<Request, Answer>;

  constructor(process: FakeProcess, server: RequestServer<Request, Answer>) {
    this.process = process;
    this.server = server;
  }

  /** Rejects with the signal's reason. */
  async ask(
    peer: PeerId,
    request: Request,
    signal: AbortSignal,
  ): Promise<Answer | { readonly kind: 'silent' }> {
    const { label, answerMs } = this.server;
    signal.throwIfAborted();
    const answer = await new Promise<Answer | { readonly kind: 'silent' }>((resolve) => {
      const end = (given: Answer | { readonly kind: 'silent' }): void => {
        cancel();
        signal.removeEventListener('abort', silent);
        resolve(given);
      };
      const silent = (): void => end({ kind: 'silent' });
      const cancel = this.process.after(answerMs, silent);
      signal.addEventListener('abort', silent, { once: true });
      this.process.send(`${label} ${peer}`, () => this.deliver(peer, request, end));
    });
    signal.throwIfAborted();
    return answer;
  }

  /** Until the signal, or the process's death. */
  async serve(peer: PeerId, answers: Answers<Request, Answer>, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const serving = { process: this.process, answers };
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

  private deliver(peer: PeerId, request: Request, end: (answer: Answer) => void): void {
    const { label, serving } = this.server;
    const found = serving.get(peer);
    if (found === undefined) return;
    const { process, answers } = found;
    const back = (answer: Answer): void =>
      process.send(`${label}.answer`, () => {
        const action = (): void => end(answer);
        this.process.receive({ label: `${label}.answer`, lossy: true, action });
      });
    const asked = (): void => {
      const answer = answers(structuredClone(request));
      // Not a turn later: the order of what happens in a simulated process is part of its seed.
      if (answer instanceof Promise) void answer.then(back);
      else back(answer);
    };
    process.receive({ label: `${label} ${peer}`, lossy: true, action: asked });
  }
}
