import type { Claimed, Offer } from '@podmesh/core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { JetStreamDriveQueue } from './jetstream-drive-queue.ts';
import { JetStreamLaneDirectory } from './jetstream-lane-directory.ts';
import { JetStreamOfferQueue } from './jetstream-offer-queue.ts';
import type { MeshConnection } from './mesh-connection.ts';
import { ClaimForgottenError } from './mesh-errors.ts';
import { freshRun, lane, offer, requirements, task } from './samples.test-kit.ts';
import { laneConsumer, OFFER_STREAM } from './subjects.ts';
import { TestServer } from './test-server.test-kit.ts';

/** For what is about a lease that ends. */
const LEASE_MS = 1_500;
/** For all else: no lease may end because the machine is slow. */
const STEADY_LEASE_MS = 60_000;
let server: TestServer;
let mesh: MeshConnection;
let other: MeshConnection;
let queue: JetStreamOfferQueue;
let rival: JetStreamOfferQueue;
let steady: JetStreamOfferQueue;
let steadyRival: JetStreamOfferQueue;
const never = new AbortController().signal;

beforeAll(async () => {
  server = await TestServer.start();
  mesh = await server.connect('one');
  other = await server.connect('two');
  await mesh.ensureStreams({ replicas: 1 });
  queue = new JetStreamOfferQueue(mesh, { leaseMs: LEASE_MS });
  rival = new JetStreamOfferQueue(other, { leaseMs: LEASE_MS });
  steady = new JetStreamOfferQueue(mesh, { leaseMs: STEADY_LEASE_MS });
  steadyRival = new JetStreamOfferQueue(other, { leaseMs: STEADY_LEASE_MS });
});

afterAll(async () => {
  await mesh?.close();
  await other?.close();
  await server?.remove();
});

async function take(
  from: JetStreamOfferQueue,
  inLane: number,
  limit = 1,
  waitMs = 60_000,
  signal = never,
): Promise<Claimed<Offer>[]> {
  const all: Claimed<Offer>[] = [];
  for await (const claimed of from.pull(lane(inLane), limit, waitMs, signal)) all.push(claimed);
  return all;
}

test('offers many tasks, hands each out once, and lists and discards them by run', async () => {
  const [run, another] = [freshRun(), freshRun()];
  await steady.publish(Array.from({ length: 1200 }, (_, i) => offer(run, task(i), lane(1))));
  await steady.publish([offer(another, task(0), lane(1))]);
  expect((await steady.waiting(run)).size).toBe(1200);
  const [mine, theirs] = await Promise.all([take(steady, 1, 700), take(steadyRival, 1, 501)]);
  const tasks = [...mine, ...theirs].filter(({ value }) => value.run === run);
  expect(new Set(tasks.map(({ value }) => value.task)).size).toBe(1200);
  await Promise.all([...mine, ...theirs].map((claimed) => claimed.ack()));
  expect((await steady.waiting(run)).size).toBe(0);
  await steady.publish([offer(run, task(0), lane(1)), offer(another, task(1), lane(1))]);
  await steady.discard(run);
  expect((await steady.waiting(run)).size).toBe(0);
  expect((await steady.waiting(another)).size).toBe(1);
  await steady.discard(another);
});

test('delivers again when the lease is over, and a ticket works from any connection', async () => {
  const run = freshRun();
  await queue.publish([offer(run, task(0), lane(2))]);
  const [first] = await take(queue, 2);
  const [again] = await take(rival, 2);
  expect(again?.sequence).toBe(first?.sequence);
  expect(again?.value).toEqual(first?.value);
  await queue.settle(again?.ticket ?? '');
  // Sent and not confirmed: it is on its way.
  while ((await queue.waiting(run)).size > 0);
  expect(await take(queue, 2, 1, LEASE_MS + 200)).toEqual([]);
});

test('gives back at once or after a delay', async () => {
  const run = freshRun();
  await steady.publish([offer(run, task(0), lane(3))]);
  const [first] = await take(steady, 3);
  await first?.giveBack(0);
  const [second] = await take(steadyRival, 3);
  expect(second?.sequence).toBe(first?.sequence);
  await second?.giveBack(3_000);
  expect(await take(steadyRival, 3, 1, 0)).toEqual([]);
  const [third] = await take(steadyRival, 3);
  await third?.ack();
});

test('ends after the wait, and with the signal', async () => {
  expect(await take(steady, 4, 1, 300)).toEqual([]);
  const abort = new AbortController();
  const pulling = take(steady, 4, 1, 60_000, abort.signal);
  setImmediate(() => abort.abort());
  expect(await pulling).toEqual([]);
});

test('what arrives while a pull is aborted, or is left unread, comes back at once', async () => {
  const run = freshRun();
  for (let i = 0; i < 30; i++) {
    const abort = new AbortController();
    const pulling = take(steady, 5, 4, 60_000, abort.signal);
    const publishing = steadyRival.publish(
      [0, 1, 2].map((n) => offer(run, task(i * 3 + n), lane(5))),
    );
    if (i % 3 === 0) await publishing;
    abort.abort();
    const got = await pulling;
    await publishing;
    const rest = 3 - got.length;
    const others = rest === 0 ? [] : await take(steadyRival, 5, rest);
    expect(others).toHaveLength(rest);
    await Promise.all([...got, ...others].map((claimed) => claimed.ack()));
  }
  await steadyRival.publish([0, 1, 2].map((n) => offer(run, task(n), lane(5))));
  for await (const claimed of steady.pull(lane(5), 3, 5_000, never)) {
    await claimed.ack();
    break;
  }
  const left = await take(steadyRival, 5, 2);
  expect(left).toHaveLength(2);
  await Promise.all(left.map((claimed) => claimed.ack()));
});

test('many pulls of one lane wait side by side', async () => {
  const run = freshRun();
  const pulls = Array.from({ length: 200 }, () => take(steady, 6, 1, 60_000));
  await steady.openLane(lane(6));
  await steadyRival.publish(Array.from({ length: 200 }, (_, i) => offer(run, task(i), lane(6))));
  const got = (await Promise.all(pulls)).flat();
  expect(new Set(got.map(({ value }) => value.task)).size).toBe(200);
  await steady.discard(run);
});

test('makes its consumer again when it is gone', async () => {
  const run = freshRun();
  await steady.openLane(lane(7));
  await mesh.jsm.consumers.delete(OFFER_STREAM, laneConsumer(lane(7)));
  await steady.publish([offer(run, task(0), lane(7))]);
  const first = await take(steady, 7, 1, 5_000);
  const got = first.length > 0 ? first : await take(steady, 7, 1, 5_000);
  expect(got).toHaveLength(1);
  await got[0]?.ack();
});

test('removes what is no offer instead of meeting it for ever', async () => {
  const run = freshRun();
  await mesh.js.publish(`pm.offer.${lane(8)}.${run}.broken`, '{');
  await queue.publish([offer(run, task(0), lane(8))]);
  const [got] = await take(queue, 8, 2, 2_000);
  expect(got?.value.task).toBe(task(0));
  await got?.ack();
  expect(await take(queue, 8, 1, LEASE_MS + 100)).toEqual([]);
});

test('a lane is known, and its queue ready, when its change is told', async () => {
  const lanes = new JetStreamLaneDirectory(mesh, (one) => queue.openLane(one));
  const seen = new JetStreamLaneDirectory(other, (one) => rival.openLane(one));
  const end = new AbortController();
  const told = (async () => {
    for await (const _ of seen.changes(end.signal)) if ((await seen.list()).has(lane(9))) return;
  })();
  await other.nc.flush();
  await lanes.open(lane(9), requirements);
  await lanes.open(lane(9), requirements);
  await told;
  expect((await seen.list()).get(lane(9))).toEqual(requirements);
});

test('keeps one drive per run, waiting or claimed', async () => {
  const drives = new JetStreamDriveQueue(mesh, { leaseMs: STEADY_LEASE_MS });
  const run = freshRun();
  await Promise.all([drives.publish(run), drives.publish(run)]);
  expect(await drives.waiting()).toEqual(new Set([run]));
  const claimed: Claimed<string>[] = [];
  for await (const one of drives.pull(1, 60_000, never)) claimed.push(one);
  for await (const one of drives.pull(5, 300, never)) claimed.push(one);
  expect(claimed.map(({ value }) => value)).toEqual([run]);
  await drives.publish(run);
  await claimed[0]?.ack();
  expect((await drives.waiting()).size).toBe(0);
});

test('goes on after the server was killed, without losing an offer', async () => {
  const run = freshRun();
  const total = 60;
  const done = new Set<string>();
  const finished = new AbortController();
  const forgotten = (error: unknown): void => {
    expect(error).toBeInstanceOf(ClaimForgottenError);
  };
  const worker = async (from: JetStreamOfferQueue): Promise<void> => {
    while (!finished.signal.aborted) {
      for await (const claimed of from.pull(lane(10), 4, 500, finished.signal)) {
        done.add(claimed.value.task);
        await claimed.ack().catch(forgotten);
      }
      const left = await from.waiting(run).catch(() => undefined);
      if (done.size === total && left?.size === 0) finished.abort();
    }
  };
  const working = [worker(queue), worker(rival)];
  await queue.publish(Array.from({ length: 20 }, (_, i) => offer(run, task(i), lane(10))));
  await server.kill();
  const late = queue.publish(
    Array.from({ length: total - 20 }, (_, i) => offer(run, task(20 + i), lane(10))),
  );
  await server.run();
  await late;
  await Promise.all(working);
});

test('says soon that a killed server has forgotten a claim, and hands it out again', async () => {
  const run = freshRun();
  await queue.publish([offer(run, task(0), lane(11))]);
  const [claimed] = await take(queue, 11);
  await server.kill();
  const acknowledged = claimed?.ack().then(
    () => 'settled',
    (error: unknown) => error,
  );
  await server.run();
  const outcome = await acknowledged;
  if (outcome !== 'settled') {
    expect(outcome).toBeInstanceOf(ClaimForgottenError);
    const [again] = await take(rival, 11);
    expect(again?.sequence).toBe(claimed?.sequence);
    await again?.ack();
  }
  expect((await queue.waiting(run)).size).toBe(0);
});
