import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { ClaimId } from '@podmesh/core';
import type { Boot } from '../machine/boot.ts';
import type { AttemptJournal, JournalEntry } from './attempt-journal.ts';

/** A file above this is written anew, when most of it is of attempts that are settled. */
const FILE_BYTES_MAX = 1024 * 1024;
const FILE_MODE = 0o600;

/** One line of the file. */
type Line =
  | { readonly begun: JournalEntry }
  | { readonly started: ClaimId; readonly mark: StartMark }
  | { readonly settled: ClaimId };

/** What is written when a container runs. */
interface StartMark {
  readonly boot: string;
  /** Uptime of the machine: no wall clock, which may jump. */
  readonly atMs: number;
  readonly image: string;
}

interface OpenEntry {
  readonly entry: JournalEntry;
  mark?: Partial<StartMark>;
  /** Of its lines in the file. */
  bytes: number;
}

/**
 * A file that is only appended to: a line when an attempt begins, when its container runs and when it is
 * settled; empty whenever none is open. Synchronous, as the log of an attempt is: a line costs ten microseconds,
 * a file for each attempt a millisecond. A torn line is none: its container, if there is one, is then removed.
 */
export class DiskJournal implements AttemptJournal {
  readonly #folder: string;
  readonly #path: string;
  readonly #boot: Boot;
  readonly #open = new Map<ClaimId, OpenEntry>();
  #descriptor: number | undefined;
  #bytes = 0;

  constructor(folder: string, boot: Boot) {
    this.#folder = folder;
    this.#path = join(folder, 'journal');
    this.#boot = boot;
  }

  async write(entry: JournalEntry): Promise<void> {
    const bytes = this.#append({ begun: entry });
    this.#open.set(entry.claim, { entry, bytes });
  }

  async noteStarted(claim: ClaimId, image: string): Promise<void> {
    const { id, uptimeMs } = this.#boot;
    const mark: StartMark = { boot: id, atMs: uptimeMs(), image };
    const bytes = this.#append({ started: claim, mark });
    const open = this.#open.get(claim);
    if (open === undefined) return;
    open.mark = mark;
    open.bytes += bytes;
  }

  async remove(claim: ClaimId): Promise<void> {
    const descriptor = this.#read();
    if (!this.#open.delete(claim)) return;
    if (this.#open.size === 0) {
      ftruncateSync(descriptor, 0);
      this.#bytes = 0;
      return;
    }
    try {
      this.#append({ settled: claim });
      this.#shrink();
    } catch {
      // On a full disk it stays there until none is open; the run log knows that it is settled.
    }
  }

  async list(): Promise<readonly JournalEntry[]> {
    this.#read();
    return [...this.#open.values()].map(({ entry, mark }) => {
      return { ...entry, ...(mark === undefined ? {} : this.#startOf(mark)) };
    });
  }

  #startOf({ boot, atMs, image }: Partial<StartMark>): Pick<JournalEntry, 'started'> {
    const isOfThisBoot = boot === undefined || boot === this.#boot.id;
    const ranMs = atMs !== undefined && isOfThisBoot ? this.#boot.uptimeMs() - atMs : 0;
    const named = image === undefined ? {} : { image };
    return { started: { ranMs: Math.max(0, ranMs), isOfThisBoot, ...named } };
  }

  /** Each line begins with the line feed, so that one that is torn spoils no other. */
  #append(line: Line): number {
    const descriptor = this.#read();
    const bytes = writeAll(descriptor, `\n${JSON.stringify(line)}`);
    this.#bytes += bytes;
    return bytes;
  }

  /** The first time, what an earlier daemon left. */
  #read(): number {
    if (this.#descriptor !== undefined) return this.#descriptor;
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    const { descriptor, result: text } = openWith(this.#path, (opened) =>
      readFileSync(opened, 'utf8'),
    );
    for (const line of text.split('\n')) this.#take(line);
    this.#bytes = Buffer.byteLength(text);
    this.#descriptor = descriptor;
    return descriptor;
  }

  #take(text: string): void {
    const line = parse(text);
    if (line === undefined) return;
    if ('begun' in line)
      this.#open.set(line.begun.claim, { entry: line.begun, bytes: text.length });
    else if ('settled' in line) this.#open.delete(line.settled);
    else {
      const open = this.#open.get(line.started);
      if (open !== undefined) open.mark = line.mark;
    }
  }

  /** Whatever fails of it, the journal goes on in the file that it has. */
  #shrink(): void {
    const live = [...this.#open.values()].reduce((sum, { bytes }) => sum + bytes, 0);
    if (this.#bytes < FILE_BYTES_MAX || this.#bytes < 2 * live) return;
    const lines = [...this.#open].flatMap(([claim, { entry, mark }]) => {
      const started = mark === undefined ? [] : [{ started: claim, mark }];
      return [{ begun: entry }, ...started].map((line) => `\n${JSON.stringify(line)}`);
    });
    const path = `${this.#path}.new`;
    const { descriptor, result } = openWith(path, (opened) => {
      ftruncateSync(opened, 0);
      const bytes = writeAll(opened, lines.join(''));
      renameSync(path, this.#path);
      return bytes;
    });
    const replaced = this.#descriptor;
    this.#descriptor = descriptor;
    this.#bytes = result;
    if (replaced !== undefined) closeSync(replaced);
  }
}

/** Opens for appending; a descriptor is held only when `use` went well. */
function openWith<T>(
  path: string,
  use: (descriptor: number) => T,
): { readonly descriptor: number; readonly result: T } {
  const descriptor = openSync(path, 'a+', FILE_MODE);
  try {
    return { descriptor, result: use(descriptor) };
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
}

/** How many bytes that were. A disk that fills up takes a part first. */
function writeAll(descriptor: number, text: string): number {
  const bytes = Buffer.from(text);
  for (let rest = bytes; rest.length > 0; ) rest = rest.subarray(writeSync(descriptor, rest));
  return bytes.length;
}

function parse(text: string): Line | undefined {
  try {
    const line = JSON.parse(text) as Partial<Record<'begun' | 'started' | 'settled', unknown>>;
    if ('begun' in line) return isEntry(line.begun) ? { begun: line.begun } : undefined;
    return 'started' in line || 'settled' in line ? (line as Line) : undefined;
  } catch {
    return undefined;
  }
}

function isEntry(value: unknown): value is JournalEntry {
  const { claim, offer, ticket } = (value ?? {}) as Partial<JournalEntry>;
  return Boolean(claim && offer) && ticket !== undefined;
}
