import type { RunId, RunState } from '@podmesh/core';
import type { Terminal } from '../terminal.ts';
import { progressLine } from './progress-line.ts';
import { newsText, type RunNews } from './run-news.ts';
import { TaskReports } from './task-reports.ts';

/** Who is told what happens while a run is followed. */
export interface RunView {
  start(state: RunState): void;
  /** After the fact was folded into the state of the run. */
  tell(news: RunNews, run: RunId): Promise<void>;
  /** Something beside the run itself, such as a lost connection. */
  remark(text: string): void;
  /** Harmless when called twice. */
  stop(): void;
}

/** One line per event on standard error, for pipes and files. */
export class PlainView implements RunView {
  readonly #terminal: Terminal;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  start(): void {}

  async tell(news: RunNews, run: RunId): Promise<void> {
    if (news.kind !== 'published') this.#terminal.err(`${newsText(news, run)}\n`);
  }

  remark(text: string): void {
    this.#terminal.err(`${text}\n`);
  }

  stop(): void {}
}

/** Says nothing but remarks: for `wait` without a terminal, and for its `--json`. */
export class QuietView implements RunView {
  readonly #terminal: Terminal;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  start(): void {}

  async tell(): Promise<void> {}

  remark(text: string): void {
    this.#terminal.err(`${text}\n`);
  }

  stop(): void {}
}

/** One JSON object per line on standard output. */
export class JsonView implements RunView {
  readonly #terminal: Terminal;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  start(): void {}

  tell(news: RunNews): Promise<void> {
    return this.#terminal.out(`${JSON.stringify(news)}\n`);
  }

  remark(text: string): void {
    this.#terminal.err(`${JSON.stringify({ remark: text })}\n`);
  }

  stop(): void {}
}

const REDRAW_MS = 125;
const CLEAR_LINE = '\r\u001b[K';

/** News that stay above the live line. */
const LASTING: ReadonlySet<RunNews['kind']> = new Set(['failed', 'released', 'cancel-requested']);

/** One live line on a terminal; failures stay above it. */
export class LiveView implements RunView {
  readonly #terminal: Terminal;
  readonly #startedAtMs = performance.now();
  readonly #reports: TaskReports;
  #state: RunState | undefined;
  #timer: NodeJS.Timeout | undefined;
  #drawn = '';

  /** `reports`: what tasks say of themselves, where somebody listens. */
  constructor(terminal: Terminal, reports = new TaskReports()) {
    this.#terminal = terminal;
    this.#reports = reports;
  }

  start(state: RunState): void {
    this.#state = state;
    this.#draw();
    this.#timer = setInterval(() => this.#draw(), REDRAW_MS);
  }

  async tell(news: RunNews, run: RunId): Promise<void> {
    if (LASTING.has(news.kind)) this.remark(newsText(news, run));
  }

  remark(text: string): void {
    this.#terminal.err(`${CLEAR_LINE}${text}\n`);
    this.#drawn = '';
    if (this.#timer !== undefined) this.#draw();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    if (this.#drawn !== '') this.#terminal.err(CLEAR_LINE);
    this.#drawn = '';
  }

  #draw(): void {
    if (this.#state === undefined) return;
    const elapsedMs = performance.now() - this.#startedAtMs;
    // The last column stays free: some terminals wrap when it is written.
    const reportOf = this.#reports.of.bind(this.#reports);
    const line = progressLine(this.#state, elapsedMs, this.#terminal.columns - 1, reportOf);
    if (line === this.#drawn) return;
    this.#terminal.err(`${CLEAR_LINE}${line}`);
    this.#drawn = line;
  }
}
