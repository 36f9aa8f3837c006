import { mkdir, readdir, readFile, rename, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ClaimId } from '@podmesh/core';
import type { Boot } from '../machine/boot.ts';
import type { AttemptJournal, JournalEntry } from './attempt-journal.ts';

const ENTRY = '.json';
/** Ends the name of the file that says: its container runs. */
const STARTED = '.started';

/** What is written beside an entry when its container runs. */
interface StartMark {
  readonly boot: string;
  /** Uptime of the machine: no wall clock, which may jump. */
  readonly atMs: number;
  readonly image: string;
}

/**
 * One small file per begun attempt, and another beside it once its container runs: cheaper than
 * writing the first one again. A torn or foreign file is dropped: its container is then removed.
 */
export class DiskJournal implements AttemptJournal {
  readonly #folder: string;
  readonly #boot: Boot;

  constructor(folder: string, boot: Boot) {
    this.#folder = folder;
    this.#boot = boot;
  }

  async write(entry: JournalEntry): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const path = this.#pathOf(entry.claim);
    await writeFile(`${path}.new`, JSON.stringify(entry), { mode: 0o600 });
    await rename(`${path}.new`, path);
  }

  async noteStarted(claim: ClaimId, image: string): Promise<void> {
    const { id, uptimeMs } = this.#boot;
    const mark: StartMark = { boot: id, atMs: uptimeMs(), image };
    await writeFile(this.#markOf(claim), JSON.stringify(mark), { mode: 0o600 });
  }

  async remove(claim: ClaimId): Promise<void> {
    await this.#drop(`${claim}${ENTRY}`);
  }

  async list(): Promise<readonly JournalEntry[]> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const entries: JournalEntry[] = [];
    const names = await readdir(this.#folder);
    for (const name of names) {
      // The others are being written at this moment, or never were finished.
      if (!name.endsWith(ENTRY)) continue;
      const path = join(this.#folder, name);
      const text = await readFile(path, 'utf8').catch(() => undefined);
      // Settled while we looked.
      if (text === undefined) continue;
      const entry = parse(text);
      if (entry === undefined) await this.#drop(name);
      else entries.push({ ...entry, ...(await this.#startOf(entry.claim)) });
    }
    return entries;
  }

  async #startOf(claim: ClaimId): Promise<Pick<JournalEntry, 'started'>> {
    const text = await readFile(this.#markOf(claim), 'utf8').catch(() => undefined);
    if (text === undefined) return {};
    const { boot, atMs, image } = parseMark(text);
    // A torn mark tells that it was started, and nothing more.
    const isOfThisBoot = boot === undefined || boot === this.#boot.id;
    const ranMs = atMs !== undefined && isOfThisBoot ? this.#boot.uptimeMs() - atMs : 0;
    const named = image === undefined ? {} : { image };
    return { started: { ranMs: Math.max(0, ranMs), isOfThisBoot, ...named } };
  }

  /** The mark first: an entry without it is harmless, a mark without an entry would stay for ever. */
  async #drop(name: string): Promise<void> {
    const mark = `${name.slice(0, -ENTRY.length)}${STARTED}`;
    await unlinkIfThere(join(this.#folder, mark));
    await unlinkIfThere(join(this.#folder, name));
  }

  #pathOf(claim: ClaimId): string {
    return join(this.#folder, `${claim}${ENTRY}`);
  }

  #markOf(claim: ClaimId): string {
    return join(this.#folder, `${claim}${STARTED}`);
  }
}

/** For every task: half of what `rm` takes. */
async function unlinkIfThere(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
  }
}

function parse(text: string): JournalEntry | undefined {
  try {
    const entry = JSON.parse(text) as Partial<JournalEntry>;
    const { claim, offer, startedSequence, ticket } = entry;
    const complete = claim && offer && startedSequence !== undefined && ticket !== undefined;
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
