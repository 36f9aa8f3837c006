import { type LogSink, MASKED_BYTES_MIN } from '@podmesh/core';

const MASK = Buffer.from('***');

type Stream = 'stdout' | 'stderr';

/**
 * Takes secret values out of what a task writes, as CI systems do: each occurrence of a whole value, or of one line
 * of it, from `MASKED_BYTES_MIN` bytes on, also where it comes in pieces. What a task writes in another form (base64,
 * reversed) is not recognised.
 */
export class LogMask {
  readonly #patterns: readonly Buffer[];
  readonly #held: Record<Stream, Buffer> = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) };

  constructor(values: Iterable<Uint8Array>) {
    const found = new Map<string, Buffer>();
    for (const value of values) {
      const whole = Buffer.from(value);
      for (const pattern of [whole, trimmed(whole), ...linesOf(whole)]) {
        if (pattern.length >= MASKED_BYTES_MIN) found.set(pattern.toString('latin1'), pattern);
      }
    }
    // Of two that begin alike the longer one is meant.
    this.#patterns = [...found.values()].sort((a, b) => b.length - a.length);
  }

  /** A sink that masks; what may be the beginning of a value is held back until `flush`. */
  wrap(sink: LogSink): { readonly sink: LogSink; flush(): void } {
    if (this.#patterns.length === 0) return { sink, flush: () => undefined };
    return {
      sink: (stream, bytes) => {
        const masked = this.#take(stream, bytes);
        if (masked.length > 0) sink(stream, masked);
      },
      flush: () => {
        for (const stream of ['stdout', 'stderr'] as const) {
          const rest = this.#held[stream];
          this.#held[stream] = Buffer.alloc(0);
          if (rest.length > 0) sink(stream, this.#replace(rest, rest.length).masked);
        }
      },
    };
  }

  /** A whole text, such as the message of a failure. */
  text(text: string): string {
    if (this.#patterns.length === 0) return text;
    const bytes = Buffer.from(text);
    return this.#replace(bytes, bytes.length).masked.toString('utf8');
  }

  #take(stream: Stream, bytes: Uint8Array): Buffer {
    const all = Buffer.concat([this.#held[stream], bytes]);
    const { masked, heldFrom } = this.#replace(all);
    this.#held[stream] = Buffer.from(all.subarray(heldFrom));
    return masked;
  }

  /**
   * Masks up to `heldFrom`, where what may become a value begins. A value there is not taken yet: it may be a line of
   * one that is longer. `end`: nothing more will come, so that all is masked.
   */
  #replace(all: Buffer, end?: number): { masked: Buffer; heldFrom: number } {
    const pieces: Buffer[] = [];
    let from = 0;
    let heldFrom = end ?? this.#cutOf(all, from);
    const next = this.#patterns.map((pattern) => ({ pattern, at: all.indexOf(pattern) }));
    for (;;) {
      let first: (typeof next)[number] | undefined;
      for (const one of next) {
        if (one.at >= 0 && one.at < from) one.at = all.indexOf(one.pattern, from);
        if (one.at >= 0 && (first === undefined || one.at < first.at)) first = one;
      }
      if (first === undefined || first.at >= heldFrom) break;
      pieces.push(all.subarray(from, first.at), MASK);
      from = first.at + first.pattern.length;
      if (from > heldFrom) heldFrom = this.#cutOf(all, from);
    }
    return { masked: Buffer.concat([...pieces, all.subarray(from, heldFrom)]), heldFrom };
  }

  /** Where the end begins that more bytes could make a value. */
  #cutOf(all: Buffer, restFrom: number): number {
    let cut = all.length;
    for (const pattern of this.#patterns) {
      const earliest = Math.max(restFrom, all.length - pattern.length + 1);
      for (let at = all.indexOf(pattern[0] ?? 0, earliest); at >= 0 && at < cut; ) {
        if (all.subarray(at).equals(pattern.subarray(0, all.length - at))) cut = at;
        at = all.indexOf(pattern[0] ?? 0, at + 1);
      }
    }
    return cut;
  }
}

function trimmed(value: Buffer): Buffer {
  return value.at(-1) === 0x0a ? value.subarray(0, -1) : value;
}

function linesOf(value: Buffer): Buffer[] {
  return value
    .toString('latin1')
    .split(/\r?\n/)
    .map((line) => Buffer.from(line, 'latin1'));
}
