import { appendFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ClaimId } from '@podmesh/core';
import type { Boot } from '../machine/boot.ts';
import { unlinkIfThere } from '../store/absence.ts';
import type { AttemptJournal, JournalEntry } from './attempt-journal.ts';

const ENTRY = '.json';

/** What is written behind an entry when its container runs. */
interface StartMark {
  readonly boot: string;
  /** Uptime of the machine: no wall clock, which may jump. */
  readonly atMs: number;
  readonly image: string;
}

/**
 * One small file per begun attempt: the entry, and in a second line, once its container runs, when that began.
 * One file, because making one costs far more than writing it. A torn or foreign file is dropped: its
 * container is then removed.
 */
export class DiskJournal implements AttemptJournal {
  readonly #folder: string;
  readonly #boot: Boot;
  /** Entries that are being written: not torn, only not whole yet. */
  readonly #writing = new Set<string>();
  #made: Promise<unknown> | undefined;

  constructor(folder: string, boot: Boot) {
    this.#folder = folder;
    this.#boot = boot;
  }

  async write(entry: JournalEntry): Promise<void> {
    const name = nameOf(entry.claim);
    this.#writing.add(name);
    try {
      await this.#makeFolder();
      await writeFile(join(this.#folder, name), JSON.stringify(entry), { mode: 0o600 });
    } finally {
      this.#writing.delete(name);
    }
  }

  async noteStarted(claim: ClaimId, image: string): Promise<void> {
    const { id, uptimeMs } = this.#boot;
    const mark: StartMark = { boot: id, atMs: uptimeMs(), image };
    await appendFile(join(this.#folder, nameOf(claim)), `\n${JSON.stringify(mark)}`);
  }

  async remove(claim: ClaimId): Promise<void> {
    await unlinkIfThere(join(this.#folder, nameOf(claim)));
  }

  async list(): Promise<readonly JournalEntry[]> {
    await this.#makeFolder();
    const entries: JournalEntry[] = [];
    for (const name of await readdir(this.#folder)) {
      const path = join(this.#folder, name);
      const text = this.#writing.has(name)
        ? undefined
        : await readFile(path, 'utf8').catch(() => undefined);
      // Settled while we looked, or begun.
      if (text === undefined || this.#writing.has(name)) continue;
      const [written = '', mark] = text.split('\n');
      const entry = name.endsWith(ENTRY) ? parse(written) : undefined;
      if (entry === undefined) await unlinkIfThere(path);
      else entries.push({ ...entry, ...(mark === undefined ? {} : this.#startOf(mark)) });
    }
    return entries;
  }

  #startOf(text: string): Pick<JournalEntry, 'started'> {
    const { boot, atMs, image } = parseMark(text);
    // A torn mark tells that it was started, and nothing more.
    const isOfThisBoot = boot === undefined || boot === this.#boot.id;
    const ranMs = atMs !== undefined && isOfThisBoot ? this.#boot.uptimeMs() - atMs : 0;
    const named = image === undefined ? {} : { image };
    return { started: { ranMs: Math.max(0, ranMs), isOfThisBoot, ...named } };
  }

  async #makeFolder(): Promise<void> {
    this.#made ??= mkdir(this.#folder, { recursive: true, mode: 0o700 });
    try {
      await this.#made;
    } catch (error) {
      this.#made = undefined;
      throw error;
    }
  }
}

const nameOf = (claim: ClaimId): string => `${claim}${ENTRY}`;

function parse(text: string): JournalEntry | undefined {
  try {
    const entry = JSON.parse(text) as Partial<JournalEntry>;
    const { claim, offer, ticket } = entry;
    const complete = claim && offer && ticket !== undefined;
    return complete ? (entry as JournalEntry) : undefined;
  } catch {
    return undefined;
  }
}

function parseMark(text: string): Partial<StartMark> {
  try {
    const mark = JSON.parse(text) as Partial<StartMark> | null;
    return mark ?? {};
  } catch {
    return {};
  }
}
