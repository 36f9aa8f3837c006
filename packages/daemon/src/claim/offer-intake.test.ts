import {
  type Claimed,
  type LaneId,
  OFFERS_PER_RUN_MAX,
  type Offer,
  type Requirements,
} from '@podmesh/core';
import { freshLane, freshRun, SMALL, sampleOffer } from '@podmesh/testkit';
import { describe, expect, it } from 'vitest';
import { newBench, settled, silent } from '../daemon.test-kit.ts';
import { WakeUp } from '../wake-up.ts';
import { CapacityLedger, type Reservation } from './capacity-ledger.ts';
import { type IntakeParts, OfferIntake } from './offer-intake.ts';

const CAPACITY = { cpus: 4, memoryBytes: 2 ** 33, diskBytes: 2 ** 40, gpus: 0 };

function newIntake(changes: Partial<IntakeParts> = {}, capacity = CAPACITY) {
  const bench = newBench();
  const changed = new WakeUp();
  const ledger = new CapacityLedger(capacity, changed);
  const taken: { claimed: Claimed<Offer>; reservation: Reservation }[] = [];
  const intake = new OfferIntake(
    {
      ...bench.ports,
      clock: bench.process.clock,
      logger: silent,
      ledger,
      suits: () => true,
      isOpen: () => true,
      leaves: () => false,
      take: (claimed, reservation) => void taken.push({ claimed, reservation }),
      ...changes,
    },
    changed,
  );
  const run = freshRun();
  const lane = (requirements: Requirements = SMALL): LaneId => {
    const id = freshLane();
    bench.mesh.lanes.open(id, requirements);
    return id;
  };
  const offer = (to: LaneId, count: number, requirements = SMALL) => {
    for (let index = 0; index < count; index += 1) {
      bench.mesh.offers.publish({ ...sampleOffer(run, to, index), requirements });
    }
  };
  const stop = () => settled(bench.clock, intake.stop());
  return { ...bench, intake, ledger, taken, changed, lane, offer, stop };
}

describe('the intake of offers', () => {
  it('asks only for what fits, and again when something was given back', async () => {
    const { intake, taken, lane, offer, mesh, clock, stop } = newIntake();
    offer(lane(), 10);
    intake.start();
    await clock.advance(4_000);
    expect(taken).toHaveLength(4);
    expect(mesh.offers.deliveryCount).toBe(4);
    for (const { claimed, reservation } of taken.slice(0, 2)) {
      await claimed.ack();
      reservation.release();
    }
    await clock.advance(1_000);
    expect(taken).toHaveLength(6);
    expect(mesh.offers.deliveryCount).toBe(6);
    await stop();
  });

  it('gives back what does not fit any more when two lanes answer at once', async () => {
    const { intake, taken, ledger, lane, offer, mesh, clock, stop } = newIntake();
    const lanes = [lane(), lane()];
    intake.start();
    await clock.advance(1_000);
    for (const one of lanes) offer(one, 4);
    await clock.advance(1_000);
    expect(taken).toHaveLength(4);
    expect(ledger.free().cpus).toBe(0);
    expect(mesh.offers.all()).toHaveLength(8);
    await stop();
    // Nobody else's offers stay in our hands.
    expect(mesh.offers.all()).toHaveLength(8);
  });

  it('hears of a lane that is opened later', async () => {
    const { intake, taken, lane, offer, clock, stop } = newIntake();
    intake.start();
    await clock.advance(2_000);
    offer(lane(), 1);
    await clock.advance(100);
    expect(taken).toHaveLength(1);
    await stop();
  });

  it('leaves lanes alone whose tasks it could never run', async () => {
    const suits = ({ cpus }: Requirements) => cpus <= CAPACITY.cpus;
    const { intake, taken, lane, offer, clock, stop } = newIntake({ suits });
    const large = { ...SMALL, cpus: 8 };
    offer(lane(large), 3, large);
    offer(lane(), 1);
    intake.start();
    await clock.advance(10_000);
    expect(taken).toHaveLength(1);
    await stop();
  });

  it('takes nothing while closed, and goes on when told that it is open', async () => {
    let open = false;
    const { intake, taken, changed, lane, offer, clock, stop } = newIntake({ isOpen: () => open });
    offer(lane(), 2);
    intake.start();
    await clock.advance(60_000);
    expect(taken).toEqual([]);
    open = true;
    changed.ring();
    await clock.advance(100);
    expect(taken).toHaveLength(2);
    await stop();
  });

  it('gives an offer back that arrives when it has just been closed', async () => {
    let open = true;
    const { intake, taken, ledger, lane, offer, mesh, clock, stop } = newIntake({
      isOpen: () => open,
    });
    const id = lane();
    intake.start();
    await clock.advance(100);
    open = false;
    offer(id, 1);
    await clock.advance(100);
    expect(taken).toEqual([]);
    expect(ledger.reservations).toBe(0);
    expect(mesh.offers.all()).toHaveLength(1);
    await stop();
  });

  describe('where another job in the lane is left to others', () => {
    /** An intake that leaves the jobs of `suspects` to others. */
    function newRation(capacity = CAPACITY) {
      const suspects = freshRun();
      const leaves = ({ run }: Offer) => run === suspects;
      const bench = newIntake({ leaves }, capacity);
      const id = bench.lane();
      const offerSuspects = (count: number) => {
        for (let index = 0; index < count; index += 1)
          bench.mesh.offers.publish(sampleOffer(suspects, id, index));
      };
      return { ...bench, id, offerSuspects };
    }

    it('takes its own at once, however few places there are and whatever waits before them', async () => {
      for (const cpus of [1, 4]) {
        const { intake, taken, id, offer, offerSuspects, clock, ledger, stop } = newRation({
          ...CAPACITY,
          cpus,
        });
        offerSuspects(3);
        intake.start();
        // Until the suspects come again and again.
        await clock.advance(5_000);
        expect(ledger.reservations).toBe(0);
        offer(id, 1);
        await clock.advance(100);
        expect(taken).toHaveLength(1);
        await stop();
      }
    });

    it('reaches them behind as many as a run may offer, on a single place', async () => {
      const { intake, taken, id, offer, offerSuspects, clock, stop } = newRation({
        ...CAPACITY,
        cpus: 1,
      });
      offerSuspects(OFFERS_PER_RUN_MAX);
      offer(id, 1);
      intake.start();
      await clock.advance(60_000);
      expect(taken).toHaveLength(1);
      await stop();
    });

    it('looks at the others no more often than forty times a second', async () => {
      for (const [count, limit] of [
        [1, 121],
        [1_000, 2_700],
      ] as const) {
        const { intake, offerSuspects, clock, mesh, stop } = newRation();
        offerSuspects(count);
        intake.start();
        await clock.advance(60_000);
        const before = mesh.offers.deliveryCount;
        await clock.advance(60_000);
        const asked = mesh.offers.deliveryCount - before;
        expect(asked).toBeGreaterThanOrEqual(count);
        expect(asked).toBeLessThan(limit);
        await stop();
      }
    });

    it('asks for one at a time, so that others find as many of them', async () => {
      const { intake, id, offerSuspects, clock, mesh, ports, stop } = newRation();
      offerSuspects(40);
      intake.start();
      await clock.advance(10_000);
      const [beforeMs, before] = [clock.nowMs(), mesh.offers.deliveryCount];
      for (let taken = 0; taken < 20; taken += 1) {
        await settled(clock, pullOne(ports.offers, id));
      }
      expect(mesh.offers.deliveryCount - before).toBeLessThanOrEqual(2 * 20 + 1);
      expect(clock.nowMs() - beforeMs).toBeLessThan(2_000);
      await stop();
    });
  });

  it('tries again after a request that failed, with nothing counted twice', async () => {
    const { ports, clock, ...rest } = newIntake();
    let failures = 3;
    const pull: IntakeParts['offers']['pull'] = (...asked) => {
      failures -= 1;
      if (failures >= 0) throw new Error('no responders');
      return ports.offers.pull(...asked);
    };
    const { intake, taken } = newIntakeOver(rest, { pull }, ports, clock);
    rest.offer(rest.lane(), 10);
    intake.start();
    await clock.advance(20_000);
    expect(taken).toHaveLength(4);
    await settled(clock, intake.stop());
  });

  it('asks for nothing more once it is stopped', async () => {
    const { intake, taken, lane, offer, clock, stop } = newIntake();
    const id = lane();
    intake.start();
    await clock.advance(1_000);
    await stop();
    offer(id, 1);
    await clock.advance(60_000);
    expect(taken).toEqual([]);
  });
});

/** What another peer does that has room for one; it keeps what it gets. */
async function pullOne(offers: IntakeParts['offers'], lane: LaneId): Promise<void> {
  for await (const _ of offers.pull(lane, 1, 60_000, new AbortController().signal)) return;
  throw new Error('nothing came');
}

/** The same bench with some methods of the offer queue replaced. */
function newIntakeOver(
  { ledger, changed }: Pick<ReturnType<typeof newIntake>, 'ledger' | 'changed'>,
  replaced: Pick<IntakeParts['offers'], 'pull'>,
  ports: ReturnType<typeof newBench>['ports'],
  clock: ReturnType<typeof newBench>['clock'],
) {
  const taken: Claimed<Offer>[] = [];
  const { offers } = ports;
  const parts: IntakeParts = {
    lanes: ports.lanes,
    offers: {
      publish: (list) => offers.publish(list),
      waiting: (run) => offers.waiting(run),
      discard: (run) => offers.discard(run),
      settle: (ticket) => offers.settle(ticket),
      ...replaced,
    },
    ledger,
    clock: {
      nowMs: () => clock.nowMs(),
      sleep: (ms) => new Promise((resolve) => void clock.after(ms, resolve)),
    },
    logger: silent,
    suits: () => true,
    isOpen: () => true,
    leaves: () => false,
    take: (claimed) => void taken.push(claimed),
  };
  return { intake: new OfferIntake(parts, changed), taken };
}
