import { appendFile, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { claimId } from '@podmesh/core';
import { freshLane, freshRun, sampleOffer } from '@podmesh/testkit';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../store/store.test-kit.ts';
import { DiskJournal } from './disk-journal.ts';

let uptimeMs = 0;
/** Each look at the clock is 5 ms later than the one before. */
const newJournal = (folder: string, id = 'boot') =>
  new DiskJournal(folder, {
    id,
    uptimeMs: () => {
      uptimeMs += 5;
      return uptimeMs;
    },
  });

const entryOf = (name: string) => ({
  claim: claimId(name),
  offer: sampleOffer(freshRun(), freshLane()),
  ticket: 'offers:1',
  image: 'sha256:1',
});

const fileIn = (folder: string) => join(folder, 'journal');

it('the journal gives back what was written, to the next daemon too', async () => {
  const folder = join(await temporaryFolder(), 'attempts');
  const [a, b] = [entryOf('a'), entryOf('b')];
  await newJournal(folder).write(a);
  await newJournal(folder).write(b);
  await newJournal(folder).remove(a.claim);
  await newJournal(folder).remove(a.claim);
  expect(await newJournal(folder).list()).toEqual([b]);
});

it('the journal knows whose container was started, and forgets that with the entry', async () => {
  const folder = await temporaryFolder();
  const [a, b] = [entryOf('a'), entryOf('b')];
  for (const entry of [a, b]) await newJournal(folder).write(entry);
  await newJournal(folder).noteStarted(b.claim, 'sha256:2');
  const listed = await newJournal(folder).list();
  const starts = new Map(listed.map((entry) => [entry.claim, entry.started]));
  expect(starts.get(a.claim)).toBeUndefined();
  expect(starts.get(b.claim)).toEqual({ ranMs: 5, isOfThisBoot: true, image: 'sha256:2' });
  const later = await newJournal(folder, 'another boot').list();
  expect(later.find(({ claim }) => claim === b.claim)?.started).toMatchObject({
    isOfThisBoot: false,
  });
  for (const { claim } of [a, b]) await newJournal(folder).remove(claim);
  expect(await newJournal(folder).list()).toEqual([]);
  expect((await stat(fileIn(folder))).size).toBe(0);
});

it('a journal that was never written is empty', async () => {
  expect(await newJournal(join(await temporaryFolder(), 'none')).list()).toEqual([]);
});

it.each(['{"begun":{"claim":"torn', 'null', '{"begun":{"claim":"torn"}}', '[]', '7', '{"x":1}'])(
  'the torn or foreign line %j is no entry, and spoils no other',
  async (text) => {
    const folder = await temporaryFolder();
    const [before, after] = [entryOf('before'), entryOf('after')];
    await newJournal(folder).write(before);
    await appendFile(fileIn(folder), `\n${text}`);
    await newJournal(folder).write(after);
    expect(await newJournal(folder).list()).toEqual([before, after]);
  },
);

it('a torn note of a start is none', async () => {
  const folder = await temporaryFolder();
  const a = entryOf('a');
  await newJournal(folder).write(a);
  await appendFile(fileIn(folder), `\n{"started":"a","mark":{"bo`);
  expect(await newJournal(folder).list()).toEqual([a]);
});

it('the file stays small however many attempts there were, and loses none that is open', async () => {
  const folder = await temporaryFolder();
  const journal = newJournal(folder);
  const open = entryOf('open');
  await journal.write(open);
  await journal.noteStarted(open.claim, 'sha256:2');
  const large = { ...entryOf('x'), image: 'i'.repeat(100_000) };
  for (let i = 0; i < 40; i += 1) {
    const entry = { ...large, claim: claimId(`c${i}`) };
    await journal.write(entry);
    await journal.remove(entry.claim);
  }
  expect((await stat(fileIn(folder))).size).toBeLessThan(1.5 * 1024 * 1024);
  const listed = await newJournal(folder).list();
  expect(listed).toMatchObject([{ ...open, started: { image: 'sha256:2' } }]);
  expect(await journal.list()).toMatchObject([{ ...open, started: { image: 'sha256:2' } }]);
  expect(await readFile(fileIn(folder), 'utf8')).not.toContain('undefined');
});
