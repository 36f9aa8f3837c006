import { type ClaimId, type ContainerLabels, claimId, peerId, taskId } from '@podmesh/core';
import { freshLane, freshRun, SMALL, sampleOffer, sampleStarted } from '@podmesh/testkit';
import { expect, it } from 'vitest';
import { CapacityLedger } from '../claim/capacity-ledger.ts';
import { CAPACITY, MemoryFiles, newBench, peerParts } from '../daemon.test-kit.ts';
import { WakeUp } from '../wake-up.ts';
import { Executor } from './executor.ts';
import { Leftovers } from './leftovers.ts';

function newCase(failsToRemove?: ClaimId) {
  const bench = newBench(() => ({ kind: 'runs', durationMs: 5_000 }));
  const files = new MemoryFiles();
  const real = peerParts(bench, 'p');
  const parts = { ...real, files, machine: () => real.describe().machine };
  const { runtime } = bench;
  const leftovers: typeof runtime.leftovers = async (peer) =>
    (await runtime.leftovers(peer)).map((container) => ({
      labels: container.labels,
      replayLog: (log) => container.replayLog(log),
      wait: () => container.wait(),
      stop: (graceMs) => container.stop(graceMs),
      readOutput: (output) => container.readOutput(output),
      remove: async () => {
        if (container.labels.claim === failsToRemove) throw new Error('it is in use');
        await container.remove();
      },
    }));
  const faulty = {
    describe: () => runtime.describe(),
    images: () => runtime.images(),
    resolveImage: runtime.resolveImage.bind(runtime),
    loadImage: runtime.loadImage.bind(runtime),
    start: runtime.start.bind(runtime),
    leftovers,
  };
  const ledger = new CapacityLedger(CAPACITY, new WakeUp());
  const all = { ...parts, runtime: faulty };
  const executor = new Executor(all);
  const start = async (claim: string, peer = 'p') => {
    const labels: ContainerLabels = {
      run: freshRun(),
      task: taskId('job'),
      attempt: 1,
      peer: peerId(peer),
      claim: claimId(claim),
    };
    const spec = { labels, image: 'i', env: {}, inputs: {}, outputs: {}, net: false };
    const whole = { ...spec, requirements: SMALL, scratchDir: '/memory' };
    await runtime.start(whole, () => undefined, new AbortController().signal);
  };
  const claims = () => bench.host.containers.map(({ spec }) => spec.labels.claim);
  return {
    ...bench,
    parts,
    ledger,
    executor,
    start,
    claims,
    ...{ leftovers: new Leftovers(all, executor, ledger) },
  };
}

it('one container that cannot be removed does not keep the others', async () => {
  const { leftovers, start, claims } = newCase(claimId('stuck'));
  for (const claim of ['stuck', 'a', 'b']) await start(claim);
  await leftovers.reconcile();
  expect(claims()).toEqual(['stuck']);
});

it('containers of another peer are never touched', async () => {
  const { leftovers, start, claims } = newCase();
  await start('mine');
  await start('theirs', 'other');
  await leftovers.reconcile();
  expect(claims()).toEqual(['theirs']);
});

it('what was begun and has no container is forgotten, with its scratch folder', async () => {
  const { leftovers, parts } = newCase();
  const offer = sampleOffer(freshRun(), freshLane());
  const claim = claimId('begun');
  await parts.journal.write({ claim, offer, startedSequence: 1, ticket: 'offers:1' });
  await parts.files.scratch(claim);
  await leftovers.reconcile();
  expect(await parts.journal.list()).toEqual([]);
  expect(parts.files.scratches.size).toBe(0);
});

it('a container whose attempt is still ours is taken to its end', async () => {
  const { leftovers, parts, mesh, start, claims, clock, executor, ledger } = newCase();
  const offer = sampleOffer(freshRun(), freshLane());
  const claim = claimId('ours');
  mesh.log.append({ ...sampleStarted(offer.run, offer.task), claim }, 0);
  await parts.journal.write({ claim, offer, startedSequence: 1, ticket: 'offers:1' });
  await start('ours');
  await leftovers.reconcile();
  expect(executor.claims()).toEqual([claim]);
  expect(ledger.reservations).toBe(1);
  await clock.advance(10_000);
  expect(mesh.log.lastOfTask(offer.run, offer.task)?.event.kind).toBe('attempt-succeeded');
  expect([claims(), executor.claims(), ledger.reservations]).toEqual([[], [], 0]);
});

it('a container whose attempt was declared lost is removed', async () => {
  const { leftovers, parts, mesh, start, claims } = newCase();
  const offer = sampleOffer(freshRun(), freshLane());
  const claim = claimId('late');
  const { run, task } = offer;
  const peer = peerId('p');
  mesh.log.append({ ...sampleStarted(run, task), claim }, 0);
  mesh.log.append({ kind: 'attempt-lost', run, task, attempt: 1, claim, peer, reason: 'gone' }, 1);
  await parts.journal.write({ claim, offer, startedSequence: 1, ticket: 'offers:1' });
  await start('late');
  await leftovers.reconcile();
  expect(claims()).toEqual([]);
  expect(await parts.journal.list()).toEqual([]);
});
