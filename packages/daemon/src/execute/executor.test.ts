import { type Claimed, type Offer, type RunLog, taskId } from '@podmesh/core';
import { freshLane, freshRun, sampleOffer, sampleStarted } from '@podmesh/testkit';
import { expect, it } from 'vitest';
import { CapacityLedger } from '../claim/capacity-ledger.ts';
import { CAPACITY, newBench, peerParts, settled } from '../daemon.test-kit.ts';
import { WakeUp } from '../wake-up.ts';
import { Executor } from './executor.ts';
import { Leftovers } from './leftovers.ts';

function newCase() {
  const bench = newBench(() => ({ kind: 'runs', durationMs: 1_000 }));
  const { mesh, ports, clock } = bench;
  const real = peerParts(bench, 'p');
  const { machine, limits } = real.describe();
  const parts = { ...real, machine: () => machine, limits: () => limits };
  const offer = sampleOffer(freshRun(), freshLane());
  /** Takes the one offer, and lets time pass in which it would come to its end. */
  const take = async () => {
    mesh.lanes.open(offer.lane, offer.requirements);
    mesh.offers.publish(offer);
    const pulled = ports.offers.pull(offer.lane, 1, 1_000, new AbortController().signal);
    const { value } = await settled(clock, pulled[Symbol.asyncIterator]().next());
    new Executor(parts).take(value as Claimed<Offer>, {
      release: () => undefined,
      lendCores: () => undefined,
      takeCoresBack: () => undefined,
    });
    await clock.advance(10_000);
  };
  /** What the next session finds, and does. */
  const restart = async () => {
    const ledger = new CapacityLedger(CAPACITY, new WakeUp());
    await settled(clock, new Leftovers(parts, new Executor(parts), ledger).reconcile());
  };
  const append = parts.log.append.bind(parts.log);
  /** Has the fact that an attempt began appended so. */
  const beginBy = (begin: RunLog['append']) => {
    parts.log.append = (event, expected) =>
      (event.kind === 'attempt-started' ? begin : append)(event, expected);
  };
  const kinds = () =>
    mesh.log
      .eventsOf(offer.run)
      .map(({ event }) => (event.kind === 'attempt-failed' ? event.failure.kind : event.kind));
  return { ...bench, parts, journal: parts.journal, offer, take, restart, append, beginBy, kinds };
}

const ofAnotherOffer = ({ run, task }: Offer) => ({
  ...sampleStarted(run, task),
  offerSequence: 99,
});

const never = (): Promise<never> => new Promise(() => undefined);

it('an attempt is in the journal before it is a fact, and not any more when it is settled', async () => {
  const { journal, append, beginBy, take, kinds } = newCase();
  const noted: number[] = [];
  beginBy((event, expected) => {
    noted.push(journal.entries.size);
    return append(event, expected);
  });
  await take();
  expect([noted, kinds()]).toEqual([[1], ['attempt-started', 'attempt-succeeded']]);
  expect(journal.entries.size).toBe(0);
});

it('an attempt that the log refuses leaves no entry', async () => {
  const { mesh, journal, offer, take, kinds } = newCase();
  mesh.log.append(ofAnotherOffer(offer), offer.sequence);
  await take();
  expect(kinds()).toEqual(['attempt-started']);
  expect(journal.entries.size).toBe(0);
});

it('an attempt whose beginning met a mesh that is away is dropped by the next look', async () => {
  const { mesh, journal, beginBy, take, restart, kinds } = newCase();
  beginBy(() => Promise.reject(new Error('the mesh is away')));
  await take();
  expect([kinds(), journal.entries.size]).toEqual([[], 1]);
  await restart();
  expect([kinds(), journal.entries.size]).toEqual([[], 0]);
  // Its offer is still there, for whoever comes next.
  expect(mesh.offers.all()).toHaveLength(1);
});

it('an attempt that began without an answer is settled by the next look', async () => {
  const { mesh, journal, append, beginBy, take, restart, kinds } = newCase();
  beginBy(async (event, expected) => {
    await append(event, expected);
    throw new Error('no answer in time');
  });
  await take();
  expect([kinds(), journal.entries.size]).toEqual([['attempt-started'], 1]);
  await restart();
  expect(kinds()).toEqual(['attempt-started', 'start-failed']);
  expect(journal.entries.size).toBe(0);
  // Nobody has to wait for the lease.
  expect(mesh.offers.all()).toEqual([]);
});

it('an entry stays for as long as the log cannot be asked', async () => {
  const { parts, journal, beginBy, take, restart } = newCase();
  const { lastOfTask } = parts.log;
  beginBy(() => Promise.reject(new Error('the mesh is away')));
  await take();
  parts.log.lastOfTask = () => Promise.reject(new Error('the mesh is away'));
  await restart();
  expect(journal.entries.size).toBe(1);
  parts.log.lastOfTask = lastOfTask;
  await restart();
  expect(journal.entries.size).toBe(0);
});

it('an entry that cannot be removed is dropped by the next look', async () => {
  const { mesh, journal, offer, take, restart, kinds } = newCase();
  mesh.log.append(ofAnotherOffer(offer), offer.sequence);
  const remove = journal.remove.bind(journal);
  journal.remove = () => Promise.reject(new Error('the disk is read-only'));
  await take();
  expect(journal.entries.size).toBe(1);
  journal.remove = remove;
  await restart();
  expect(kinds()).toEqual(['attempt-started']);
  expect(journal.entries.size).toBe(0);
});

it('a disk that takes no entry is the failure of the attempt', async () => {
  const { journal, take, kinds } = newCase();
  journal.write = () => Promise.reject(Object.assign(new Error('no space'), { code: 'ENOSPC' }));
  await take();
  expect(kinds()).toEqual(['attempt-started', 'disk-host']);
});

it('killed before it heard that its attempt is a fact, a peer settles it when it is back', async () => {
  const { mesh, journal, append, beginBy, take, restart, kinds } = newCase();
  beginBy(async (event, expected) => {
    await append(event, expected);
    return never();
  });
  await take();
  expect([kinds(), journal.entries.size]).toEqual([['attempt-started'], 1]);
  await restart();
  expect(kinds()).toEqual(['attempt-started', 'start-failed']);
  expect(journal.entries.size).toBe(0);
  // Nobody has to wait for the lease.
  expect(mesh.offers.all()).toEqual([]);
});

it('killed before its attempt was a fact, a peer says nothing of it when it is back', async () => {
  const { journal, beginBy, take, restart, kinds } = newCase();
  beginBy(never);
  await take();
  expect(journal.entries.size).toBe(1);
  await restart();
  expect([kinds(), journal.entries.size]).toEqual([[], 0]);
});

it('an attempt of the same number that is not its own is left alone', async () => {
  const { mesh, journal, offer, beginBy, take, restart, kinds } = newCase();
  beginBy(never);
  await take();
  mesh.log.append(sampleStarted(offer.run, offer.task), offer.sequence);
  mesh.log.append(sampleStarted(offer.run, taskId('other')), 0);
  await restart();
  expect([kinds(), journal.entries.size]).toEqual([['attempt-started', 'attempt-started'], 0]);
});
