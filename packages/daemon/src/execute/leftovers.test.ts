import {
  type Claimed,
  type ClaimId,
  type ContainerLabels,
  claimId,
  type Offer,
  peerId,
  type RunningContainer,
  taskId,
} from '@podmesh/core';
import {
  freshLane,
  freshRun,
  SMALL,
  sampleArtifact,
  sampleOffer,
  sampleStarted,
} from '@podmesh/testkit';
import { expect, it } from 'vitest';
import { CapacityLedger } from '../claim/capacity-ledger.ts';
import { CAPACITY, MemoryFiles, newBench, peerParts, settled } from '../daemon.test-kit.ts';
import { WakeUp } from '../wake-up.ts';
import { Executor } from './executor.ts';
import { Leftovers } from './leftovers.ts';

function newCase(failsToRemove?: ClaimId, changes: Partial<RunningContainer> = {}) {
  const bench = newBench(() => ({ kind: 'runs', durationMs: 5_000 }));
  const files = new MemoryFiles();
  const real = peerParts(bench, 'p');
  const { machine: facts, limits } = real.describe();
  const parts = { ...real, files, machine: () => facts, limits: () => limits };
  const { runtime } = bench;
  const leftovers: typeof runtime.leftovers = async (peer) =>
    (await runtime.leftovers(peer)).map((container) => ({
      labels: container.labels,
      replays: container.replays,
      replayLog: (log) => container.replayLog(log),
      wait: () => container.wait(),
      stop: (graceMs) => container.stop(graceMs),
      readOutput: (output) => container.readOutput(output),
      sample: () => container.sample(),
      remove: async () => {
        if (container.labels.claim === failsToRemove) throw new Error('it is in use');
        await container.remove();
      },
      ...changes,
    }));
  const faulty = {
    describe: () => runtime.describe(),
    images: () => runtime.images(),
    resolveImage: runtime.resolveImage.bind(runtime),
    loadImage: runtime.loadImage.bind(runtime),
    start: runtime.start.bind(runtime),
    probe: runtime.probe.bind(runtime),
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

async function claimOffer({ mesh, ports, clock }: ReturnType<typeof newCase>) {
  const lane = freshLane();
  const offer = sampleOffer(freshRun(), lane);
  mesh.lanes.open(lane, offer.requirements);
  mesh.offers.publish(offer);
  const pulled = ports.offers.pull(lane, 1, 1_000, new AbortController().signal);
  const first = await settled(clock, pulled[Symbol.asyncIterator]().next());
  return first.value as Claimed<Offer>;
}

/** An attempt of this peer that is open in the log, in its journal and in the queue, without a container. */
async function openAttempt(bench: ReturnType<typeof newCase>, name: string) {
  const { mesh, parts } = bench;
  const claimed = await claimOffer(bench);
  const offer = claimed.value;
  const { run, task } = offer;
  const claim = claimId(name);
  const started = { ...sampleStarted(run, task), peer: peerId('p'), claim };
  const appended = mesh.log.append(started, 0);
  const startedSequence = appended.ok ? appended.value : 0;
  await parts.journal.write({ claim, offer, startedSequence, ticket: claimed.ticket });
  parts.files.scratch(claim);
  return { claim, offer, startedSequence, last: () => mesh.log.lastOfTask(run, task)?.event };
}

it.each([
  ['never started', false, 'start-failed'],
  ['was started and is gone', true, 'peer-lost'],
] as const)('an attempt whose container %s is settled at once', async (_, hasStarted, kind) => {
  const bench = newCase();
  const { claim, last } = await openAttempt(bench, 'begun');
  if (hasStarted) await bench.parts.journal.noteStarted(claim, 'sha256:1');
  await bench.leftovers.reconcile();
  expect(last()).toMatchObject({
    kind: 'attempt-failed',
    claim,
    failure: { kind, message: expect.stringContaining('this peer was killed') },
  });
  // Nobody has to wait for the lease.
  expect(bench.mesh.offers.all()).toEqual([]);
  expect(await bench.parts.journal.list()).toEqual([]);
  expect(bench.parts.files.scratches.size).toBe(0);
  await bench.leftovers.reconcile();
  expect(bench.mesh.log.entries).toHaveLength(2);
});

it('a container that cannot be asked about keeps no room, and stays', async () => {
  const bench = newCase();
  const { claim, offer, startedSequence } = await openAttempt(bench, 'unknown');
  await bench.start('unknown');
  await bench.parts.journal.write({ claim, offer, startedSequence, ticket: '1' });
  const { lastOfTask } = bench.parts.log;
  bench.parts.log.lastOfTask = () => Promise.reject(new Error('the mesh is away'));
  const free = bench.ledger.free();
  for (let times = 0; times < 3; times += 1) await bench.leftovers.reconcile();
  expect(bench.ledger.free()).toEqual(free);
  expect(bench.claims()).toEqual([claim]);
  bench.parts.log.lastOfTask = lastOfTask;
});

it('what a restart of the machine ended is no fault of the task', async () => {
  const bench = newCase();
  const { claim, last, startedSequence, offer } = await openAttempt(bench, 'rebooted');
  await bench.start('rebooted');
  const started = { ranMs: 5, isOfThisBoot: false };
  await bench.parts.journal.write({ claim, offer, startedSequence, ticket: '1', started });
  bench.host.reboot();
  await bench.leftovers.reconcile();
  expect(last()).toMatchObject({
    kind: 'attempt-failed',
    failure: { kind: 'peer-lost', message: 'the machine was restarted while the container ran' },
  });
  expect(bench.claims()).toEqual([]);
});

it('an attempt that passed on meanwhile is forgotten, with its scratch folder', async () => {
  const bench = newCase();
  const { claim, offer, startedSequence, last } = await openAttempt(bench, 'late');
  const { run, task, attempt } = offer;
  const lost = { kind: 'attempt-lost', run, task, attempt, claim } as const;
  bench.mesh.log.append({ ...lost, peer: peerId('p'), reason: 'gone' }, startedSequence);
  await bench.leftovers.reconcile();
  expect(last()?.kind).toBe('attempt-lost');
  expect(await bench.parts.journal.list()).toEqual([]);
  expect(bench.parts.files.scratches.size).toBe(0);
});

it('an attempt that this peer is at work on is left alone, whatever it finds of it', async () => {
  const bench = newCase();
  const { mesh, executor, clock, leftovers, parts } = bench;
  executor.take(await claimOffer(bench), {
    release: () => undefined,
    lendCores: () => undefined,
    takeCoresBack: () => undefined,
  });
  await clock.advance(100);
  expect(await parts.journal.list()).toMatchObject([{ started: { isOfThisBoot: true } }]);
  // As if its container had vanished under it.
  for (const container of bench.host.containers) container.removedMs = 0;
  await leftovers.reconcile();
  expect(mesh.log.entries.map(({ event }) => event.kind)).toEqual(['attempt-started']);
  await clock.advance(60_000);
  expect(mesh.log.entries.at(-1)?.event.kind).toBe('attempt-succeeded');
});

it('what does not fit any more is ended as drained, and its container removed', async () => {
  const bench = newCase();
  const { offer, last } = await openAttempt(bench, 'large');
  await bench.start('large');
  bench.ledger.reserve({ ...offer.requirements, cpus: CAPACITY.cpus });
  await bench.leftovers.reconcile();
  expect(last()).toMatchObject({ kind: 'attempt-failed', failure: { kind: 'drained' } });
  expect(bench.claims()).toEqual([]);
});

it('a task that waited for what it spawned keeps its container, and so does that, on the same core', async () => {
  const bench = newCase();
  const { offer } = await openAttempt(bench, 'parent');
  const sub = taskId(`${offer.task.replace(':', '--')}--key`);
  const claim = claimId('child');
  bench.mesh.log.append({ ...sampleStarted(offer.run, sub), claim }, 0);
  const requirements = { ...offer.requirements, cpus: CAPACITY.cpus };
  await bench.parts.journal.write({
    claim,
    offer: { ...offer, task: sub, requirements },
    ticket: 'offers:2',
  });
  await bench.start('parent');
  await bench.start('child');
  await bench.leftovers.reconcile();
  expect(new Set(bench.executor.claims())).toEqual(new Set(['parent', 'child']));
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

it.each([
  ['from its beginning', 'all', 'replayed\n'],
  ['where the killed daemon left it', 'since', 'kept\nreplayed\n'],
] as const)('the log of an adopted container is told %s', async (_, replays, expected) => {
  const replayLog: RunningContainer['replayLog'] = (log) =>
    log('stdout', Buffer.from('replayed\n'));
  const bench = newCase(undefined, { replays, replayLog });
  const { claim, last } = await openAttempt(bench, 'adopted');
  await bench.start('adopted');
  bench.parts.files.openLog(claim).write('stdout', Buffer.from('kept\n'));
  await bench.leftovers.reconcile();
  await bench.clock.advance(10_000);
  const { digest } = sampleArtifact(Buffer.from(expected)).ref;
  expect(last()).toMatchObject({ kind: 'attempt-succeeded', result: { log: { digest } } });
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
