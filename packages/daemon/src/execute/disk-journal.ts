import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ClaimId } from '@podmesh/core';
import type { AttemptJournal, JournalEntry } from './attempt-journal.ts';

/** One small file per begun attempt. A torn or foreign file is dropped: its container is then removed. */
export class DiskJournal implements AttemptJournal {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async write(entry: JournalEntry): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const path = this.#pathOf(entry.claim);
    await writeFile(`${path}.new`, JSON.stringify(entry), { mode: 0o600 });
    await rename(`${path}.new`, path);
  }

  async remove(claim: ClaimId): Promise<void> {
    await rm(this.#pathOf(claim), { force: true });
  }

  async list(): Promise<readonly JournalEntry[]> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const entries: JournalEntry[] = [];
    for (const name of await readdir(this.#folder)) {
      // The others are being written at this moment, or never were finished.
      if (!name.endsWith('.json')) continue;
      const path = join(this.#folder, name);
      const text = await readFile(path, 'utf8').catch(() => undefined);
      // Settled while we looked.
      if (text === undefined) continue;
      const entry = parse(text);
      if (entry === undefined) await rm(path, { force: true });
      else entries.push(entry);
    }
    return entries;
  }

  #pathOf(claim: ClaimId): string {
    return join(this.#folder, `${claim}.json`);
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
