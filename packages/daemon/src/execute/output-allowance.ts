import type { OutputEntry } from '@podmesh/core';
import { AttemptFailure } from './attempt-failure.ts';
import { diskExceeded } from './limit-watch.ts';

/** Outputs count as disk: what a task stores must fit into what it asked for, sparse files too. */
export class OutputAllowance {
  readonly #limitBytes: number | undefined;
  /** Of outputs that are stored; the one under way may be read again. */
  #storedBytes = 0;

  /** `limitBytes` undefined: as much as it likes. */
  constructor(limitBytes: number | undefined) {
    this.#limitBytes = limitBytes;
  }

  /** Hands one output on to `store`, and ends the attempt as `disk-task` when it is too much. */
  async spend<T>(
    entries: AsyncIterable<OutputEntry>,
    store: (entries: AsyncIterable<OutputEntry>) => Promise<T>,
  ): Promise<T> {
    let bytes = 0;
    const count = (more: number): void => {
      bytes += more;
      const total = this.#storedBytes + bytes;
      if (this.#limitBytes === undefined || total <= this.#limitBytes) return;
      const { kind, message } = diskExceeded(total, this.#limitBytes);
      throw new AttemptFailure(kind, `its outputs: ${message}`);
    };
    const stored = await store(counted(entries, count));
    this.#storedBytes += bytes;
    return stored;
  }
}

async function* counted(
  entries: AsyncIterable<OutputEntry>,
  count: (bytes: number) => void,
): AsyncIterable<OutputEntry> {
  for await (const entry of entries) {
    if (entry.kind === 'file') yield { ...entry, content: countedBytes(entry.content, count) };
    else yield entry;
  }
}

async function* countedBytes(
  content: AsyncIterable<Uint8Array>,
  count: (bytes: number) => void,
): AsyncIterable<Uint8Array> {
  for await (const piece of content) {
    count(piece.length);
    yield piece;
  }
}
