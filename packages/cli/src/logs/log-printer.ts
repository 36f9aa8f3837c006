import { StringDecoder } from 'node:string_decoder';
import type { TaskId } from '@podmesh/core';
import type { Terminal } from '../terminal.ts';

/** Where the output of tasks is printed to. */
export interface LogPrinter {
  /** Something of that log is missing; to be told before any of it is written. */
  noteHole(task: TaskId, attempt: number): void;
  write(task: TaskId, attempt: number, bytes: Uint8Array): Promise<void>;
  /** Prints what is left of lines that did not end. */
  finish(): Promise<void>;
}

/** The bytes as they are, of one task. */
export class RawPrinter implements LogPrinter {
  readonly #terminal: Terminal;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  noteHole(): void {
    // The bytes stay what they are; the command says it on standard error.
  }

  write(_task: TaskId, _attempt: number, bytes: Uint8Array): Promise<void> {
    return this.#terminal.out(bytes);
  }

  async finish(): Promise<void> {}
}

/** A line that never ends is broken here, so that memory stays bounded. */
const LINE_LETTERS_MAX = 1024 * 1024;

interface OpenLine {
  readonly task: TaskId;
  readonly attempt: number;
  /** Of a log with a hole in it. */
  readonly truncated: boolean;
  isPrinted: boolean;
  readonly decoder: StringDecoder;
  text: string;
}

/**
 * Whole lines, marked with their task (`j1 | …`), or as JSON objects `{"task","attempt","text"}`, each with
 * `"truncated":true` where something of the log is missing, and one of them where all of it is.
 */
export class LinePrinter implements LogPrinter {
  readonly #terminal: Terminal;
  readonly #json: boolean;
  readonly #open = new Map<string, OpenLine>();

  constructor(terminal: Terminal, json: boolean) {
    this.#terminal = terminal;
    this.#json = json;
  }

  noteHole(task: TaskId, attempt: number): void {
    this.#lineOf(task, attempt, true);
  }

  async write(task: TaskId, attempt: number, bytes: Uint8Array): Promise<void> {
    const line = this.#lineOf(task, attempt);
    line.text += line.decoder.write(Buffer.from(bytes));
    const lines = line.text.split('\n');
    line.text = lines.pop() ?? '';
    if (line.text.length > LINE_LETTERS_MAX) {
      lines.push(line.text);
      line.text = '';
    }
    if (lines.length > 0) await this.#print(line, lines);
  }

  async finish(): Promise<void> {
    for (const line of this.#open.values()) {
      const rest = line.text + line.decoder.end();
      const isSilent = this.#json && line.truncated && !line.isPrinted;
      if (rest !== '' || isSilent) await this.#print(line, [rest]);
    }
    this.#open.clear();
  }

  #lineOf(task: TaskId, attempt: number, truncated = false): OpenLine {
    const key = `${task}#${attempt}`;
    const known = this.#open.get(key);
    if (known !== undefined) return known;
    const decoder = new StringDecoder('utf8');
    const fresh = { task, attempt, truncated, isPrinted: false, decoder, text: '' };
    this.#open.set(key, fresh);
    return fresh;
  }

  async #print(line: OpenLine, lines: readonly string[]): Promise<void> {
    const { task, attempt, truncated } = line;
    line.isPrinted = true;
    const flag = truncated ? { truncated } : {};
    const marked = lines.map((text) =>
      this.#json ? JSON.stringify({ task, attempt, text, ...flag }) : `${task} | ${text}`,
    );
    await this.#terminal.out(`${marked.join('\n')}\n`);
  }
}
