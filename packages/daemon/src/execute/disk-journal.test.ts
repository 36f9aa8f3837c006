import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { claimId } from '@podmesh/core';
import { freshLane, freshRun, sampleOffer } from '@podmesh/testkit';
import { expect, it } from 'vitest';
import { namesIn, temporaryFolder } from '../store/store.test-kit.ts';
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

it('the journal gives back what was written, to the next daemon too', async () => {
  const folder = join(await temporaryFolder(), 'journal');
  const [a, b] = [entryOf('a'), entryOf('b')];
  await newJournal(folder).write(a);
  await newJournal(folder).write(b);
  await newJournal(folder).remove(a.claim);
  await newJournal(folder).remove(a.claim);
  expect(await newJournal(folder).list()).toEqual([b]);
});

it('the journal knows whose container was started, and forgets that with the entry', async () => {
  const folder = join(await temporaryFolder(), 'journal');
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
  expect(await namesIn(folder)).toEqual([]);
});

it('a torn note of a start tells that there was one, and nothing else', async () => {
  const folder = await temporaryFolder();
  const { claim } = entryOf('a');
  await newJournal(folder).write(entryOf('a'));
  const path = join(folder, `${claim}.json`);
  const entry = await readFile(path, 'utf8');
  for (const torn of ['', '{"boot":"oth', 'null']) {
    await writeFile(path, `${entry}\n${torn}`);
    expect(await newJournal(folder).list()).toMatchObject([
      { started: { ranMs: 0, isOfThisBoot: true } },
    ]);
  }
});

it('a journal that was never written is empty', async () => {
  expect(await newJournal(join(await temporaryFolder(), 'none')).list()).toEqual([]);
});

it.each(['', '{"claim":"torn', 'null', '{"claim":"torn"}', '[]'])(
  'the torn file %j is dropped and the others stay',
  async (text) => {
    const folder = await temporaryFolder();
    const whole = entryOf('whole');
    await newJournal(folder).write(whole);
    await writeFile(join(folder, 'torn.json'), text);
    expect(await newJournal(folder).list()).toEqual([whole]);
    expect(await namesIn(folder)).toEqual(['whole.json']);
  },
);

it('an entry that is being written is neither read nor dropped', async () => {
  const folder = await temporaryFolder();
  const journal = newJournal(folder);
  const entries = Array.from({ length: 50 }, (_, i) => entryOf(`e${i}`));
  const written = Promise.all(entries.map((entry) => journal.write(entry)));
  for (let look = 0; look < 20; look += 1) await journal.list();
  await written;
  expect(await journal.list()).toHaveLength(entries.length);
});
