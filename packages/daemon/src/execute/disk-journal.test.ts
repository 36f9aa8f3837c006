import { openSync } from 'node:fs';
import { appendFile, mkdir, open, readFile, rmdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { claimId } from '@podmesh/core';
import { freshLane, freshRun, sampleOffer } from '@podmesh/testkit';
import { expect, it, vi } from 'vitest';
import { temporaryFolder } from '../store/store.test-kit.ts';
import { DiskJournal } from './disk-journal.ts';

vi.mock('node:fs', async (original) => {
  const real = await original<typeof import('node:fs')>();
  return { ...real, openSync: vi.fn(real.openSync) };
});

/** Has this process no descriptor left, as far as files are opened by that name. */
const runOutOfDescriptors = () =>
  vi.mocked(openSync).mockImplementation(() => {
    throw Object.assign(new Error('too many open files'), { code: 'EMFILE' });
  });

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

it('a file that cannot be written anew is gone on with, and no other is written to', async () => {
  const folder = await temporaryFolder();
  const journal = newJournal(folder);
  const [kept, large, late] = [entryOf('kept'), entryOf('large'), entryOf('late')];
  await journal.write(kept);
  await journal.write({ ...large, image: 'i'.repeat(1024 * 1024) });
  const { ino } = await stat(fileIn(folder));
  const exhausted = runOutOfDescriptors();
  await journal.remove(large.claim);
  exhausted.mockReset();
  // Whoever opens a file now is given the lowest number that is free.
  const other = await open(join(folder, 'other'), 'w');
  await journal.write(late);
  await other.close();
  expect(await readFile(join(folder, 'other'), 'utf8')).toBe('');
  expect(await newJournal(folder).list()).toEqual([kept, late]);
  // And when there is a descriptor again, it is written anew.
  await journal.remove(late.claim);
  const after = await stat(fileIn(folder));
  expect([after.ino === ino, after.size < 10_000]).toEqual([false, true]);
  expect(await newJournal(folder).list()).toEqual([kept]);
});

it('a half-written new file of a killed daemon is no part of the next one', async () => {
  const folder = await temporaryFolder();
  const journal = newJournal(folder);
  const [kept, large] = [entryOf('kept'), entryOf('large')];
  await journal.write(kept);
  await appendFile(`${fileIn(folder)}.new`, `\n${JSON.stringify({ begun: entryOf('ghost') })}`);
  await journal.write({ ...large, image: 'i'.repeat(1024 * 1024) });
  await journal.remove(large.claim);
  expect((await stat(fileIn(folder))).size).toBeLessThan(10_000);
  expect(await newJournal(folder).list()).toEqual([kept]);
});

it('a journal that could not be opened says so, and is opened when that is possible', async () => {
  const folder = await temporaryFolder();
  const [before, after] = [entryOf('before'), entryOf('after')];
  await newJournal(folder).write(before);
  const journal = newJournal(folder);
  const exhausted = runOutOfDescriptors();
  for (const attempt of [
    () => journal.list(),
    () => journal.write(after),
    () => journal.noteStarted(before.claim, 'i'),
    () => journal.remove(before.claim),
  ])
    await expect(attempt()).rejects.toThrow('too many open files');
  exhausted.mockReset();
  await journal.write(after);
  expect(await journal.list()).toEqual([before, after]);
});

it('a journal that cannot be read is not held open', async () => {
  const folder = await temporaryFolder();
  await mkdir(fileIn(folder));
  const journal = newJournal(folder);
  await expect(journal.list()).rejects.toThrow('EISDIR');
  await rmdir(fileIn(folder));
  expect(await journal.list()).toEqual([]);
});
