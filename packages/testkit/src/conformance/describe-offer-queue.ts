import type { Claimed, LaneDirectory, LaneId, Offer, OfferQueue, RunId } from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import { freshLane, freshRun, SMALL, sampleOffer, sampleTask } from '../samples.ts';
import { all, type Bench, type MakeBench, take, until, useBench, within } from './bench.ts';

interface OfferPorts {
  readonly offers: OfferQueue;
  readonly lanes: LaneDirectory;
}
type OfferBench = Bench<OfferPorts>;
type Use = () => OfferBench;

/** How long a pull waits for what must come; virtual, or bounded by the test's timeout. */
const LONG_MS = 60_000;
/** How long a pull waits for what must not come. */
const SHORT_MS = 300;

/** What every queue of offers must do, whatever is behind it. */
export function describeOfferQueue(name: string, make: MakeBench<OfferBench>): void {
  describe(`${name}: OfferQueue`, () => {
    const use = useBench(make);
    describe('pull', () => {
      deliveries(use);
      ends(use);
    });
    describe('settling', () => {
      settling(use);
      givingBack(use);
    });
    describe('the queue of one run', () => {
      overviews(use);
    });
  });
}

function deliveries(use: Use): void {
  it('delivers what was published, in order, up to the limit', async () => {
    const { run, lane } = await filled(use(), 3);
    const { offers } = use().other;
    const claims = await all(offers.pull(lane, 2, LONG_MS, never()));
    expect(claims.map(({ value }) => value)).toEqual([0, 1].map((n) => sampleOffer(run, lane, n)));
    expect(claims[1]?.sequence).toBeGreaterThan(claims[0]?.sequence ?? Number.NaN);
  });

  it('waits for offers that come later', async () => {
    const { ports, other } = use();
    const lane = await opened(use());
    const pulled = take(ports.offers.pull(lane, 5, LONG_MS, never()), 2);
    await other.offers.publish([sampleOffer(freshRun(), lane, 0)]);
    await other.offers.publish([sampleOffer(freshRun(), lane, 1)]);
    expect(await within(use(), SHORT_MS, pulled)).toHaveLength(2);
  });

  it('gives each offer to one puller only', async () => {
    const { ports, other } = use();
    const { lane } = await filled(use(), 20);
    const pulls = [ports, other].map(({ offers }) => all(offers.pull(lane, 20, SHORT_MS, never())));
    const claims = (await within(use(), SHORT_MS, Promise.all(pulls))).flat();
    const tasks = claims.map(({ value }) => value.task);
    expect(new Set(tasks).size).toBe(20);
    expect(tasks).toHaveLength(20);
  });

  it('keeps lanes apart', async () => {
    const { offers } = use().ports;
    const { run, lane } = await filled(use(), 1);
    const empty = await opened(use());
    const nothing = all(offers.pull(empty, 5, SHORT_MS, never()));
    expect(await within(use(), SHORT_MS, nothing)).toEqual([]);
    expect((await one(use(), lane)).value).toEqual(sampleOffer(run, lane, 0));
  });

  it('takes many offers at once', async () => {
    const { run } = await filled(use(), 1_500);
    expect(await use().other.offers.waiting(run)).toHaveProperty('size', 1_500);
  });
}

function ends(use: Use): void {
  it('ends after its time', async () => {
    const lane = await opened(use());
    const pulled = all(use().ports.offers.pull(lane, 5, SHORT_MS, never()));
    expect(await within(use(), SHORT_MS, pulled)).toEqual([]);
  });

  it('ends with its signal', async () => {
    const { lane } = await filled(use(), 1);
    const stop = new AbortController();
    const seen: Claimed<Offer>[] = [];
    for await (const claim of use().ports.offers.pull(lane, 5, LONG_MS, stop.signal)) {
      seen.push(claim);
      stop.abort();
    }
    expect(seen).toHaveLength(1);
    expect(await all(use().ports.offers.pull(lane, 5, LONG_MS, stop.signal))).toEqual([]);
  });
}

function settling(use: Use): void {
  it('acknowledges for good', async () => {
    const { run, lane } = await filled(use(), 1);
    const claim = await one(use(), lane);
    expect(await use().other.offers.waiting(run)).toEqual(new Set([sampleTask(0)]));
    await claim.ack();
    expect(await use().other.offers.waiting(run)).toEqual(new Set());
    await nothingLeft(use(), lane);
  });

  it('acknowledges by the ticket from another connection', async () => {
    const { run, lane } = await filled(use(), 1);
    const { ticket } = await one(use(), lane);
    await use().other.offers.settle(ticket);
    await until(use(), async () => (await use().ports.offers.waiting(run)).size === 0);
    await nothingLeft(use(), lane);
  });

  it('does not fence: whoever once held it may acknowledge it', async () => {
    const { run, lane } = await filled(use(), 1);
    const old = await one(use(), lane);
    await old.giveBack(0);
    const taken = take(use().other.offers.pull(lane, 1, LONG_MS, never()), 1);
    expect((await within(use(), SHORT_MS, taken))[0]?.sequence).toBe(old.sequence);
    await old.ack();
    expect(await use().ports.offers.waiting(run)).toEqual(new Set());
  });
}

function givingBack(use: Use): void {
  it('delivers again at once what was given back, as the same message', async () => {
    const { lane } = await filled(use(), 2);
    const claim = await one(use(), lane);
    await claim.giveBack(0);
    const again = await take(use().other.offers.pull(lane, 1, LONG_MS, never()), 1);
    expect(again[0]?.sequence).toBe(claim.sequence);
    expect(again[0]?.value).toEqual(claim.value);
  });

  it('delivers again later what was given back with a delay', async () => {
    const { lane } = await filled(use(), 1);
    const claim = await one(use(), lane);
    await claim.giveBack(SHORT_MS);
    const again = take(use().other.offers.pull(lane, 1, LONG_MS, never()), 1);
    expect((await within(use(), SHORT_MS, again))[0]?.sequence).toBe(claim.sequence);
  });

  it('delivers again what nobody extended', async () => {
    const { lane } = await filled(use(), 1);
    const claim = await one(use(), lane);
    const again = take(use().other.offers.pull(lane, 1, LONG_MS, never()), 1);
    expect((await within(use(), LONG_MS, again))[0]?.sequence).toBe(claim.sequence);
  });
}

function overviews(use: Use): void {
  it('tells which tasks have an offer, waiting or claimed', async () => {
    const { run, lane } = await filled(use(), 3);
    await filled(use(), 2, lane);
    await one(use(), lane);
    const tasks = [0, 1, 2].map((index) => sampleTask(index));
    expect(await use().other.offers.waiting(run)).toEqual(new Set(tasks));
  });

  it('discards the offers of one run, claimed ones too', async () => {
    const { run, lane } = await filled(use(), 3);
    await one(use(), lane);
    const { run: kept } = await filled(use(), 1, lane);
    await use().other.offers.discard(run);
    expect(await use().ports.offers.waiting(run)).toEqual(new Set());
    expect((await one(use(), lane)).value.run).toBe(kept);
    await nothingLeft(use(), lane);
  });

  it('discards nothing of a run without offers', async () => {
    await use().ports.offers.discard(freshRun());
  });
}

/** An open lane. */
async function opened({ ports }: OfferBench): Promise<LaneId> {
  const lane = freshLane();
  await ports.lanes.open(lane, SMALL);
  return lane;
}

/** A run with `count` offers in one lane. */
async function filled(
  bench: OfferBench,
  count: number,
  into?: LaneId,
): Promise<{ readonly run: RunId; readonly lane: LaneId }> {
  const lane = into ?? (await opened(bench));
  const run = freshRun();
  const offers = Array.from({ length: count }, (_, index) => sampleOffer(run, lane, index));
  await bench.ports.offers.publish(offers);
  return { run, lane };
}

async function one({ ports }: OfferBench, lane: LaneId): Promise<Claimed<Offer>> {
  const [claim] = await take(ports.offers.pull(lane, 1, LONG_MS, never()), 1);
  if (claim === undefined) throw new Error('nothing was delivered');
  return claim;
}

async function nothingLeft(bench: OfferBench, lane: LaneId): Promise<void> {
  const pulled = all(bench.other.offers.pull(lane, 1, SHORT_MS, never()));
  expect(await within(bench, SHORT_MS, pulled)).toEqual([]);
}

function never(): AbortSignal {
  return new AbortController().signal;
}
