import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { claimId } from '@podmesh/core';
import { freshLane, freshRun, sampleOffer } from '@podmesh/testkit';
import { expect, it } from 'vitest';
import { namesIn, temporaryFolder } from '../store/store.test-kit.ts';
import { DiskJournal } from './disk-journal.ts';

const entryOf = (name: string) => ({
  claim: claimId(name),
  offer: sampleOffer(freshRun(), freshLane()),
  startedSequence: 7,
  ticket: 'offers:1',
  image: 'sha256:1',
});

it('the journal gives back what was written, to the next daemon too', async () => {
  const folder = join(await temporaryFolder(), 'journal');
  const [a, b] = [entryOf('a'), entryOf('b')];
  await new DiskJournal(folder, 'boot').write(a);
  await new DiskJournal(folder, 'boot').write(b);
  await new DiskJournal(folder, 'boot').remove(a.claim);
  await new DiskJournal(folder, 'boot').remove(a.claim);
  expect(await new DiskJournal(folder, 'boot').list()).toEqual([b]);
});

it('the journal knows whose container was started, and forgets that with the entry', async () => {
  const folder = join(await temporaryFolder(), 'journal');
  const [a, b] = [entryOf('a'), entryOf('b')];
  for (const entry of [a, b]) await new DiskJournal(folder, 'boot').write(entry);
  await new DiskJournal(folder, 'boot').noteStarted(b.claim);
  const listed = await new DiskJournal(folder, 'boot').list();
  const starts = new Map(listed.map((entry) => [entry.claim, entry.started]));
  expect(starts.get(a.claim)).toBeUndefined();
  expect(starts.get(b.claim)).toMatchObject({ isOfThisBoot: true });
  const later = await new DiskJournal(folder, 'another boot').list();
  expect(later.find(({ claim }) => claim === b.claim)?.started).toMatchObject({
    isOfThisBoot: false,
  });
  for (const { claim } of [a, b]) await new DiskJournal(folder, 'boot').remove(claim);
  expect(await namesIn(folder)).toEqual([]);
});

it('a journal that was never written is empty', async () => {
  expect(await new DiskJournal(join(await temporaryFolder(), 'none'), 'boot').list()).toEqual([]);
});

it.each(['', '{"claim":"torn', 'null', '{"claim":"torn"}', '[]'])(
  'the torn file %j is dropped and the others stay',
  async (text) => {
    const folder = await temporaryFolder();
    const whole = entryOf('whole');
    await new DiskJournal(folder, 'boot').write(whole);
    await writeFile(join(folder, 'torn.json'), text);
    await writeFile(join(folder, 'torn.started'), '');
    expect(await new DiskJournal(folder, 'boot').list()).toEqual([whole]);
    expect(await namesIn(folder)).toEqual(['whole.json']);
  },
);

it('a file that is being written is neither read nor dropped', async () => {
  const folder = await temporaryFolder();
  await writeFile(join(folder, 'c.json.new'), '{"claim":');
  expect(await new DiskJournal(folder, 'boot').list()).toEqual([]);
  expect(await namesIn(folder)).toEqual(['c.json.new']);
});
