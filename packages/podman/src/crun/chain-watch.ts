import type { LogSink } from '@podmesh/core';
import type { AttemptFiles, ExitNote } from './attempt-files.ts';
import { FifoReader, isHeld, tell } from './fifo.ts';

const NOTICE_CHARS_MAX = 64;
const OUTPUTS = ['stdout', 'stderr'] as const;

/** What a watch needs of an attempt's files. */
export type ChainFiles = Pick<
  AttemptFiles,
  'stdout' | 'stderr' | 'notice' | 'release' | 'readExit' | 'madeMs'
>;

/**
 * One daemon's eyes on one chain. The streams are read only once somebody takes them (`pour`) or waits
 * for the end. At the end the chain writes down the exit, says so, and waits until it is told to go:
 * only then are its ends of the pipes closed. It is told when all that was in them has been handed
 * over: until then they keep it for the next daemon, should this one die.
 */
export class ChainWatch {
  /** The command runs; false: the chain ended without running it. */
  readonly started: Promise<boolean>;
  /** When the command began, as far as is known, in ms since the epoch. */
  startedMs: number;
  readonly #files: ChainFiles;
  readonly #streams: Readonly<Record<'stdout' | 'stderr' | 'notice', FifoReader>>;
  readonly #closed: Promise<never>;
  readonly #gone: Promise<true>;
  #tellGone: () => void = () => undefined;
  #failClosed: (error: Error) => void = () => undefined;
  #tellStarted: (runs: boolean) => void = () => undefined;
  #said = '';
  #end: Promise<ExitNote | undefined> | undefined;
  #isExitKnown = false;
  #isOver = false;

  constructor(files: ChainFiles) {
    this.#files = files;
    this.startedMs = files.madeMs();
    this.#streams = {
      stdout: new FifoReader(files.stdout),
      stderr: new FifoReader(files.stderr),
      notice: new FifoReader(files.notice),
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
    for (const name of OUTPUTS) this.#streams[name].take((bytes) => log(name, bytes));
    this.#letGoIfRead();
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
    for (const name of OUTPUTS) {
      if (!this.#streams[name].isTaken) this.#streams[name].take(() => undefined);
    }
    this.#letGoIfRead();
    return this.#end ?? Promise.resolve(undefined);
  }

  /** Stops looking; who still waits gets the error. */
  close(reason: Error): void {
    this.#failClosed(reason);
    for (const stream of Object.values(this.#streams)) stream.close();
  }

  async #follow(): Promise<ExitNote | undefined> {
    const { stdout, stderr, notice } = this.#streams;
    notice.take((bytes) => this.#hear(bytes.toString('latin1')));
    // Told before this daemon came.
    this.#isExitKnown ||= this.#files.readExit() !== undefined;
    this.#letGoIfRead();
    const isGone = await Promise.race([notice.closed, this.#gone, this.#closed]);
    const note = this.#files.readExit() ?? this.#heardExit();
    // A container without its chain may still hold the streams; it is to be killed, not read.
    if (isGone !== true && note !== undefined)
      await Promise.race([Promise.all([stdout.closed, stderr.closed]), this.#closed]);
    this.#isOver = true;
    this.#tellStarted(false);
    for (const stream of Object.values(this.#streams)) stream.close();
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
      this.#isExitKnown = true;
      this.#letGoIfRead();
    }
  }

  /** On a full disk the exit could not be written down. */
  #heardExit(): ExitNote | undefined {
    const code = /(\d{1,3})\.$/.exec(this.#said)?.[1];
    return code === undefined
      ? undefined
      : { code: Number(code), cpuMs: 0, finishedMs: Date.now() };
  }

  /** With the exit known nobody writes to the streams any more: once they are empty, they stay so. */
  #letGoIfRead(): void {
    const streams = OUTPUTS.map((name) => this.#streams[name]);
    if (!this.#isExitKnown || !streams.every((stream) => stream.isTaken)) return;
    for (const stream of streams) stream.readAll();
    tell(this.#files.release, '\n');
  }
}
