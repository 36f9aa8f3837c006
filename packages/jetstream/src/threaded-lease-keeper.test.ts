import type { Claimed, Offer } from '@podmesh/core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { JetStreamOfferQueue } from './jetstream-offer-queue.ts';
import type { MeshConnection } from './mesh-connection.ts';
import { freshRun, lane, offer, task } from './samples.test-kit.ts';
import { TestServer } from './test-server.test-kit.ts';
import { ThreadedLeaseKeeper } from './threaded-lease-keeper.ts';

/** So long that a slow machine's pauses do not end one. */
const LEASE_MS = 4_000;
const never = new AbortController().signal;
let server: TestServer;
let mesh: MeshConnection;
let queue: JetStreamOfferQueue;
let keeper: ThreadedLeaseKeeper | undefined;

beforeAll(async () => {
  server = await TestServer.start();
  mesh = await server.connect();
  await mesh.ensureStreams({ replicas: 1 });
  queue = new JetStreamOfferQueue(mesh, { leaseMs: LEASE_MS });
});

afterEach(() => keeper?.stop());

afterAll(async () => {
  await mesh?.close();
  await server?.remove();
});

async function pullOne(inLane: number, waitMs: number): Promise<Claimed<Offer> | undefined> {
  for await (const claimed of queue.pull(lane(inLane), 1, waitMs, never)) return claimed;
  return undefined;
}

async function claimOne(inLane: number): Promise<Claimed<Offer>> {
  await queue.publish([offer(freshRun(), task(0), lane(inLane))]);
  const claimed = await pullOne(inLane, 5_000);
  if (claimed === undefined) throw new Error('nothing claimed');
  return claimed;
}

/** Nothing on this thread runs meanwhile. */
function block(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

function newKeeper(): ThreadedLeaseKeeper {
  keeper = new ThreadedLeaseKeeper(mesh, { extendMs: 300, giveUpMs: 3_400 });
  return keeper;
}

test('keeps a claim while the main thread is blocked for three leases', async () => {
  const claimed = await claimOne(1);
  let lost = 0;
  const leases = newKeeper();
  leases.start();
  const lease = leases.keep(claimed.ticket, () => lost++);
  block(3 * LEASE_MS);
  expect(await pullOne(1, 500)).toBeUndefined();
  expect(lost).toBe(0);
  lease.release();
  lease.release();
  const again = await pullOne(1, 20_000);
  expect(again?.sequence).toBe(claimed.sequence);
  await again?.ack();
});

test('reports a loss once, before the lease is over, when the server is gone', async () => {
  const claimed = await claimOne(2);
  const leases = newKeeper();
  let losses = 0;
  const confirmed = await claimOne(2);
  await new Promise<void>((resolve) => {
    leases.keep(confirmed.ticket, resolve);
    leases.keep(claimed.ticket, () => {
      losses++;
      resolve();
    });
    void server.kill();
  });
  await server.run();
  expect(losses).toBeLessThanOrEqual(1);
  const back = [await pullOne(2, 20_000), await pullOne(2, 20_000)];
  expect(back.every((one) => one !== undefined)).toBe(true);
  for (const one of back) await one?.ack();
  expect(losses).toBe(1);
});

test('a released claim is never reported', async () => {
  const claimed = await claimOne(3);
  const leases = newKeeper();
  let lost = 0;
  leases.keep(claimed.ticket, () => lost++).release();
  const kept = await claimOne(3);
  await server.kill();
  await new Promise<void>((resolve) => leases.keep(kept.ticket, resolve));
  expect(lost).toBe(0);
  await server.run();
});

test('stops when never started, twice, and mid-start', async () => {
  const leases = newKeeper();
  await leases.stop();
  leases.start();
  await Promise.all([leases.stop(), leases.stop()]);
  leases.start();
  await leases.stop();
});

test('counts what became of its extensions', async () => {
  const claimed = await claimOne(6);
  const leases = newKeeper();
  const lost = new Promise<void>((resolve) => leases.keep(claimed.ticket, resolve));
  await expect.poll(() => leases.counts().confirmed, { timeout: 120_000 }).toBeGreaterThan(2);
  expect(leases.counts()).toMatchObject({ lost: 0 });
  await server.kill();
  await lost;
  expect(leases.counts()).toMatchObject({ lost: 1 });
  await server.run();
});
