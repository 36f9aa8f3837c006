import type { Msg } from '@nats-io/transport-node';
import type { MeshConnection } from './mesh-connection.ts';
import { onAbort } from './on-abort.ts';
import { isAborted } from './pause.ts';

/** `cut`: what was on its way may be lost. `quiet`: the time is up, or somebody called `wake`. */
export type Arrival =
  | { readonly kind: 'message'; readonly message: Msg }
  | { readonly kind: 'cut'; readonly message: string }
  | { readonly kind: 'quiet' };

/**
 * A plain subscription for one reader that goes at its own pace. At most `waitingMax` messages wait for
 * it; what comes beyond them is dropped, as core NATS may drop anything. Subscribes at once.
 */
export class MessageBox {
  readonly #waiting: Arrival[] = [];
  readonly #close: () => void;
  #wake: (() => void) | undefined;

  constructor(mesh: MeshConnection, subject: string, waitingMax: number) {
    const subscription = mesh.nc.subscribe(subject, {
      callback: (error, message) => {
        if (error !== null) this.#add({ kind: 'cut', message: error.message });
        else if (this.#waiting.length < waitingMax) this.#add({ kind: 'message', message });
      },
    });
    const forget = mesh.onStatus((status) => {
      if (status.kind === 'disconnected' || status.kind === 'closed')
        this.#add({ kind: 'cut', message: `the connection to ${mesh.url} broke` });
    });
    this.#close = () => {
      forget();
      subscription.unsubscribe();
    };
  }

  /** What came, or comes within `ms`; `quiet` at once when the signal aborts. Never rejects. */
  async next(ms: number, signal?: AbortSignal): Promise<Arrival> {
    if (this.#waiting.length === 0 && !isAborted(signal) && ms > 0) await this.#arrival(ms, signal);
    return this.#waiting.shift() ?? { kind: 'quiet' };
  }

  /** Ends a `next` that waits. */
  wake(): void {
    this.#wake?.();
  }

  /** Harmless when called twice. */
  close(): void {
    this.#close();
    this.#waiting.length = 0;
    this.wake();
  }

  #arrival(ms: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer);
        ignoreAbort();
        this.#wake = undefined;
        resolve();
      };
      const timer = Number.isFinite(ms) ? setTimeout(end, ms) : undefined;
      this.#wake = end;
      const ignoreAbort = onAbort(signal, end);
    });
  }

  #add(arrival: Arrival): void {
    this.#waiting.push(arrival);
    this.wake();
  }
}
