import { Worker } from 'node:worker_threads';

const STOP_MS = 2_000;

export interface AskedThreadParts {
  /** Plain JavaScript beside the source, so that the same relative path holds in `src` and in `dist`. */
  readonly script: URL;
  readonly name: string;
  /** What the thread's program finds as its `workerData`. */
  readonly workerData?: object;
  /** What those are told whose order was with a thread that ended. */
  readonly lost: (cause: unknown) => Error;
  /** Called when it ended without having been told to; what is asked next begins another. */
  readonly onLost?: (cause: unknown) => void;
  /** Answers what the thread asks. */
  readonly answer?: (question: never) => Promise<unknown>;
}

/** What a thread sends: an answer, or a question of its own. */
interface Message {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: { readonly message: string; readonly code?: string };
  readonly question?: unknown;
}

interface Asker {
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
}

/**
 * One thread that obeys orders with answers. It begins with the first, and keeps no process alive that waits for
 * nothing. One that dies fails what was asked of it, and the next order gets a new one.
 */
export class AskedThread {
  readonly #parts: AskedThreadParts;
  readonly #askers = new Map<number, Asker>();
  #worker: Worker | undefined;
  #lastId = 0;

  constructor(parts: AskedThreadParts) {
    this.#parts = parts;
  }

  /** Stands for the thread that runs now, if one does. */
  get current(): object | undefined {
    return this.#worker;
  }

  /** The same; it begins if none does. */
  get running(): object {
    return this.#running();
  }

  newId(): number {
    this.#lastId += 1;
    return this.#lastId;
  }

  /** `given`: an id of `newId`, for who wants to speak of this order again. */
  ask<Value>(
    order: object,
    moved: readonly ArrayBuffer[] = [],
    given = this.newId(),
  ): Promise<Value> {
    // In here, so that a thread that cannot begin is a rejection, too.
    return new Promise<Value>((resolve, reject) => {
      const worker = this.#running();
      this.#askers.set(given, { resolve, reject });
      worker.ref();
      worker.postMessage({ ...order, id: given }, [...moved]);
    });
  }

  /** Without an answer, and only to that thread: for another it would mean nothing. */
  tell(order: object, thread: object | undefined = this.#worker): void {
    if (thread !== undefined && this.#worker === thread) this.#worker.postMessage(order);
  }

  /** Ends the thread. Harmless when it never began, or twice. */
  async stop(): Promise<void> {
    const worker = this.#worker;
    if (worker === undefined) return;
    this.#forget(worker, undefined);
    const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
    worker.ref();
    worker.postMessage({ kind: 'stop' });
    const late = setTimeout(() => void worker.terminate(), STOP_MS);
    await ended;
    clearTimeout(late);
  }

  #running(): Worker {
    if (this.#worker !== undefined) return this.#worker;
    const { script, name, workerData } = this.#parts;
    const worker = new Worker(script, { name, execArgv: [], workerData });
    worker.unref();
    worker.on('message', (message: Message) => void this.#received(worker, message));
    worker.on('error', (error) => this.#lost(worker, error));
    worker.on('exit', () => this.#lost(worker, undefined));
    this.#worker = worker;
    return worker;
  }

  async #received(worker: Worker, { id, value, error, question }: Message): Promise<void> {
    if (question !== undefined) {
      // A question that cannot be answered is answered with nothing: the thread must not wait for ever.
      const answer = await this.#parts.answer?.(question as never).catch(() => undefined);
      if (this.#worker === worker) worker.postMessage({ kind: 'answer', id, value: answer });
      return;
    }
    const asker = this.#askers.get(id);
    this.#askers.delete(id);
    if (this.#askers.size === 0) worker.unref();
    if (error === undefined) asker?.resolve(value as never);
    else asker?.reject(Object.assign(new Error(error.message), { code: error.code }));
  }

  #lost(worker: Worker, cause: unknown): void {
    if (this.#forget(worker, cause)) this.#parts.onLost?.(cause);
  }

  #forget(worker: Worker, cause: unknown): boolean {
    if (this.#worker !== worker) return false;
    this.#worker = undefined;
    const askers = [...this.#askers.values()];
    this.#askers.clear();
    for (const { reject } of askers) reject(this.#parts.lost(cause));
    return true;
  }
}
