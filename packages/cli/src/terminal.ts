import type { Writable } from 'node:stream';

/** Where words for people and programs go. Results on standard output, everything else on standard error. */
export interface Terminal {
  /** Resolves when the text was taken, so that a slow reader slows us down. */
  out(text: string | Uint8Array): Promise<void>;
  err(text: string): void;
  /** Whether a live line on standard error makes sense. */
  readonly isLive: boolean;
  /** Width of standard error. */
  readonly columns: number;
}

const COLUMNS_DEFAULT = 100;

/** The terminal, pipe or file this process was given. */
export class ProcessTerminal implements Terminal {
  readonly #stdout: Writable;
  readonly #stderr: NodeJS.WriteStream;

  constructor(stdout: Writable, stderr: NodeJS.WriteStream) {
    this.#stdout = stdout;
    this.#stderr = stderr;
  }

  get isLive(): boolean {
    return this.#stderr.isTTY === true;
  }

  get columns(): number {
    return this.#stderr.columns || COLUMNS_DEFAULT;
  }

  out(text: string | Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#stdout.write(text, (error) => (error ? reject(error) : resolve()));
    });
  }

  err(text: string): void {
    this.#stderr.write(text);
  }
}
