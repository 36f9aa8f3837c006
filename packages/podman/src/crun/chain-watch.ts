import { once } from 'node:events';
import type { Socket } from 'node:net';
import type { LogSink } from '@podmesh/core';
import type { AttemptFiles, ExitNote } from './attempt-files.ts';
import { isHeld, readFifo, tell } from './fifo.ts';

const NOTICE_CHARS_MAX = 64;

/**
 * One daemon's eyes on one chain. The streams are read only once somebody takes them (`pour`) or waits
 * for the end. At the end the chain writes down the exit, says so, and waits until it is told to go:
 * only then are its ends of the pipes closed, so that nothing in them is lost when nobody is there.
 */
export class ChainWatch {
  /** The command runs; false: the chain ended without running it. */
  readonly started: Promise<boolean>;
  /** When the command began, as far as is known, in ms since the epoch. */
  startedMs: number;
  readonly #files: AttemptFiles;
  readonly #streams: { readonly stdout: Socket; readonly stderr: Socket; readonly notice: Socket };
  readonly #closed: Promise<never>;
  readonly #gone: Promise<true>;
  #tellGone: () => void = () => undefined;
  #failClosed: (error: Error) => void = () => undefined;
  #tellStarted: (runs: boolean) => void = () => undefined;
  #said = '';
  #end: Promise<ExitNote | undefined> | undefined;
  #isOver = false;

  constructor(files: AttemptFiles) {
    this.#files = files;
    this.startedMs = files.madeMs();
    this.#streams = {
      stdout: readFifo(files.stdout),
      stderr: readFifo(files.stderr),
      notice: readFifo(files.notice),
    };
    this.started = new Promise((resolve) => {
      this.#tellStarted = resolve;
    });
    this.#gone = new Promise((resolve) => {
      this.#tellGone = () => resolve(true);
    });
    this.#closed = new Promise((_, reject) => {
      this.#failClosed = reject;
    });
    this.#closed.catch(() => undefined);
  }

  /** Whether the end is known and has been read to its last byte. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Whether the chain has said anything. */
  get hasBegun(): boolean {
    return this.#said !== '' || this.#isOver;
  }

  /** Everything that is in the streams, from now on. */
  pour(log: LogSink): void {
    for (const name of ['stdout', 'stderr'] as const) {
      const stream = this.#streams[name];
      stream.removeAllListeners('data');
      stream.on('data', (bytes: Buffer) => log(name, bytes)).resume();
    }
  }

  /** Listens for the start and the end. */
  listen(): void {
    this.#end ??= this.#follow();
    this.#end.catch(() => undefined);
  }

  /** Of a chain that is gone, or never came, no stream tells: whoever knows that it should be there by now, asks. */
  lookAgain(): void {
    if (!isHeld(this.#files.release)) this.#tellGone();
  }

  /**
   * The exit, when the last byte of the streams was handed over; undefined when the chain ended
   * without one. Streams that nobody took are read and dropped.
   */
  get end(): Promise<ExitNote | undefined> {
    this.listen();
    for (const name of ['stdout', 'stderr'] as const) {
      const stream = this.#streams[name];
      if (stream.listenerCount('data') === 0) stream.resume();
    }
    return this.#end ?? Promise.resolve(undefined);
  }

  /** Stops looking; who still waits gets the error. */
  close(reason: Error): void {
    this.#failClosed(reason);
    for (const stream of Object.values(this.#streams)) stream.destroy();
  }

  async #follow(): Promise<ExitNote | undefined> {
    const { stdout, stderr, notice } = this.#streams;
    const ends = [stdout, stderr].map(ended);
    // Waited for only when the end is near; an error before that is met then.
    for (const end of ends) end.catch(() => undefined);
    const silence = ended(notice);
    notice.setEncoding('latin1');
    notice.on('data', (text: string) => this.#hear(text)).resume();
    // Told before this daemon came.
    if (this.#files.readExit() !== undefined) this.#letGo();
    const isGone = await Promise.race([silence, this.#gone, this.#closed]);
    const note = this.#files.readExit() ?? this.#heardExit();
    // A container without its chain may still hold the streams; it is to be killed, not read.
    if (isGone !== true && note !== undefined)
      await Promise.race([Promise.all(ends), this.#closed]);
    this.#isOver = true;
    this.#tellStarted(false);
    for (const stream of Object.values(this.#streams)) stream.destroy();
    return note;
  }

  #hear(text: string): void {
    this.#said = (this.#said + text).slice(0, NOTICE_CHARS_MAX);
    if (/^\d/.test(this.#said)) {
      if (this.startedMs <= this.#files.madeMs()) this.startedMs = Date.now();
      this.#tellStarted(true);
    }
    if (this.#said.includes('.')) {
      this.#tellStarted(false);
      this.#letGo();
    }
  }

  /** On a full disk the exit could not be written down. */
  #heardExit(): ExitNote | undefined {
    const code = /(\d{1,3})\.$/.exec(this.#said)?.[1];
    return code === undefined
      ? undefined
      : { code: Number(code), cpuMs: 0, finishedMs: Date.now() };
  }

  #letGo(): void {
    tell(this.#files.release, '\n');
  }
}

async function ended(stream: Socket): Promise<void> {
  if (stream.destroyed) return;
  await once(stream, 'close');
}
