import { mkdir, readdir, readFile, rename, stat, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ClaimId } from '@podmesh/core';
import type { AttemptJournal, JournalEntry } from './attempt-journal.ts';

const ENTRY = '.json';
/** Ends the name of the file that says: its container runs. */
const STARTED = '.started';

/**
 * One small file per begun attempt, and another beside it once its container runs: cheaper than
 * writing the first one again. A torn or foreign file is dropped: its container is then removed.
 */
export class DiskJournal implements AttemptJournal {
  readonly #folder: string;
  readonly #boot: string;

  /** `boot`: what tells this start of the machine from all others. */
  constructor(folder: string, boot: string) {
    this.#folder = folder;
    this.#boot = boot;
  }

  async write(entry: JournalEntry): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const path = this.#pathOf(entry.claim);
    await writeFile(`${path}.new`, JSON.stringify(entry), { mode: 0o600 });
    await rename(`${path}.new`, path);
  }

  async noteStarted(claim: ClaimId): Promise<void> {
    await writeFile(this.#markOf(claim), this.#boot, { mode: 0o600 });
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
    const mark = this.#markOf(claim);
    try {
      const [boot, { mtimeMs }] = await Promise.all([readFile(mark, 'utf8'), stat(mark)]);
      const ranMs = Math.max(0, Date.now() - mtimeMs);
      return { started: { ranMs, isOfThisBoot: boot === this.#boot } };
    } catch {
      return {};
    }
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
