import type { Claimed, LaneDirectory, LeaseKeeper, Offer, OfferQueue } from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import { freshLane, freshRun, SMALL, sampleOffer } from '../samples.ts';
import { all, type Bench, type MakeBench, take, until, useBench, within } from './bench.ts';

interface LeasePorts {
  readonly leases: LeaseKeeper;
  readonly offers: OfferQueue;
  readonly lanes: LaneDirectory;
}

export interface LeaseBench extends Bench<LeasePorts> {
  /** Of the queue behind these ports: adapters' tests shorten it. */
  readonly leaseMs: number;
  /** Takes the server away from `ports` (not from `other`), for good. */
  cutOff(): Promise<void>;
}

const LONG_MS = 120_000;

/** What every keeper of leases must do, whatever is behind it. */
export function describeLeaseKeeper(name: string, make: MakeBench<LeaseBench>): void {
  describe(`${name}: LeaseKeeper`, () => {
    const use = useBench(make);

    it('keeps a claim far beyond its lease', async () => {
      const { ports, other, leaseMs } = use();
      const claim = await claimed(use());
      let lost = false;
      const lease = ports.leases.keep(claim.ticket, () => {
        lost = true;
      });
      const waitMs = 3 * leaseMs;
      const stolen = all(other.offers.pull(claim.value.lane, 1, waitMs, never()));
      expect(await within(use(), waitMs, stolen)).toEqual([]);
      expect(lost).toBe(false);
      lease.release();
    });

    it('lets go when released; twice is harmless', async () => {
      const { ports, other } = use();
      const claim = await claimed(use());
      const lease = ports.leases.keep(claim.ticket, () => undefined);
      lease.release();
      lease.release();
      const next = take(other.offers.pull(claim.value.lane, 1, LONG_MS, never()), 1);
      expect((await within(use(), LONG_MS, next))[0]?.sequence).toBe(claim.sequence);
    });

    it('says once that a claim is lost, before another can have it', async () => {
      const bench = use();
      const claim = await claimed(bench);
      const order: string[] = [];
      bench.ports.leases.keep(claim.ticket, () => order.push('lost'));
      await bench.cutOff();
      const next = take(bench.other.offers.pull(claim.value.lane, 1, LONG_MS, never()), 1).then(
        ([again]) => order.push(`redelivered ${again?.sequence}`),
      );
      await within(bench, LONG_MS, next);
      await until(bench, async () => order.length >= 2);
      expect(order).toEqual(['lost', `redelivered ${claim.sequence}`]);
    });
  });
}

async function claimed({ ports }: LeaseBench): Promise<Claimed<Offer>> {
  const lane = freshLane();
  await ports.lanes.open(lane, SMALL);
  await ports.offers.publish([sampleOffer(freshRun(), lane)]);
  const [claim] = await take(ports.offers.pull(lane, 1, LONG_MS, never()), 1);
  if (claim === undefined) throw new Error('nothing was delivered');
  return claim;
}

function never(): AbortSignal {
  return new AbortController().signal;
}
