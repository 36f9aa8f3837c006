import { claimId, LEASE_GIVE_UP_MS, LEASE_MS, laneId, peerId } from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import { checkAtRest, overlaps } from '../invariants/check-rest.ts';
import { DirectProcess } from '../process/direct-process.ts';
import { ContainerHost } from '../runtime/container-host.ts';
import {
  freshRun,
  SMALL,
  sampleOffer,
  samplePublished,
  sampleStarted,
  sampleTask,
} from '../samples.ts';
import { CALM, type FaultPlan } from '../simulation/fault-plan.ts';
import type { SimProcess } from '../simulation/sim-process.ts';
import { World } from '../simulation/world.ts';
import { RealTime } from '../time/real-time.ts';
import { FakeMesh } from './fake-mesh.ts';

const LANE = laneId('00000000000000aa');

function simulated(plan: FaultPlan = CALM) {
  const world = new World({ seed: 'ports', plan });
  const mesh = new FakeMesh(world);
  const machine = world.machine('m', () => undefined);
  machine.start();
  const process = machine.process as SimProcess;
  return { world, mesh, process, ports: mesh.portsFor(process) };
}

/** Claims one offer, keeps its lease, and says what happened to it. */
async function keptClaim(sim: ReturnType<typeof simulated>) {
  const { world, mesh, ports } = sim;
  const lost: number[] = [];
  mesh.lanes.open(LANE, SMALL);
  mesh.offers.publish(sampleOffer(freshRun(), LANE));
  void (async () => {
    const signal = new AbortController().signal;
    for await (const { ticket } of ports.offers.pull(LANE, 1, 5_000, signal)) {
      ports.leases.keep(ticket, () => lost.push(world.nowMs()));
    }
  })();
  await world.run(1_000);
  const redelivered: number[] = [];
  const deliver = () => redelivered.push(world.nowMs());
  mesh.offers.pull({ partition: LANE, wanted: 1, expiresMs: 0, deliver }, 1_000_000);
  return { lost, redelivered };
}

describe('a lease', () => {
  it('is kept while the main loop is blocked', async () => {
    const sim = simulated();
    const { lost, redelivered } = await keptClaim(sim);
    sim.process.block(10 * LEASE_MS);
    await sim.world.advance(20 * LEASE_MS);
    expect({ lost, redelivered }).toEqual({ lost: [], redelivered: [] });
  });

  it('passes on while its process is frozen, which learns so when it thaws', async () => {
    const sim = simulated();
    const { lost, redelivered } = await keptClaim(sim);
    sim.process.freeze(60_000);
    await sim.world.advance(59_999);
    expect(redelivered).toHaveLength(1);
    expect(lost).toEqual([]);
    await sim.world.advance(1);
    expect(lost).toEqual([61_000]);
  });

  it('is given up before it passes on while the wire is cut', async () => {
    const sim = simulated();
    const { lost, redelivered } = await keptClaim(sim);
    sim.process.cutOff(60_000);
    await sim.world.advance(60_000);
    expect(lost).toHaveLength(1);
    expect(redelivered).toHaveLength(1);
    expect(lost[0]).toBeLessThanOrEqual(1_000 + LEASE_GIVE_UP_MS);
    expect(redelivered[0]).toBeGreaterThan(lost[0] ?? Number.POSITIVE_INFINITY);
  });
});

describe('a follower', () => {
  it('gets everything in order although it falls silent again and again', async () => {
    const silent = { silenceChance: 0.5, silenceMs: [1_000, 60_000] as const };
    const plan = { ...CALM, ...silent, latencyMs: [0, 500] as const };
    const { world, mesh, ports } = simulated(plan);
    const run = freshRun();
    const seen: number[] = [];
    void (async () => {
      const signal = new AbortController().signal;
      for await (const batch of ports.log.follow(run, 0, signal)) {
        seen.push(...batch.map(({ sequence }) => sequence));
      }
    })();
    mesh.log.append(samplePublished(run, 200), 0);
    for (let index = 0; index < 200; index += 1) {
      world.after(index * 50, () => {
        mesh.log.append(sampleStarted(run, sampleTask(index)), 0);
      });
    }
    await world.run(1_000_000);
    expect(seen).toEqual(Array.from({ length: 201 }, (_, index) => index + 1));
  });
});

describe('what is left over', () => {
  it('is told, and so are overlapping executions', async () => {
    const { world, mesh } = simulated();
    const run = freshRun();
    const labels = { run, task: sampleTask(), attempt: 1, peer: peerId('p'), claim: claimId('c') };
    const spec = {
      ...{ labels, image: 'i', env: {}, inputs: {}, outputs: {}, net: false },
      ...{ requirements: SMALL, scratchDir: '/nowhere' },
    };
    const hosts = [new ContainerHost(world, 'a'), new ContainerHost(world, 'b')];
    mesh.drives.publish(run);
    mesh.offers.publish(sampleOffer(run, LANE));
    for (const host of hosts) host.start(spec);
    expect(checkAtRest(mesh, hosts)).toHaveLength(4);
    expect(overlaps(hosts)).toMatchObject([{ run, task: sampleTask(), fromMs: 0 }]);
    await world.run(60_000);
    for (const host of hosts) for (const container of host.containers) host.remove(container);
    mesh.loseDrives();
    mesh.loseOffers();
    expect(checkAtRest(mesh, hosts)).toEqual([]);
  });
});

it('works in real time too', async () => {
  const mesh = new FakeMesh(new RealTime({ background: true }));
  const time = new RealTime();
  const [a, b] = ['a', 'b'].map((name) => mesh.portsFor(new DirectProcess(name, time)));
  await a?.lanes.open(LANE, SMALL);
  const signal = new AbortController().signal;
  const pulled = b?.offers.pull(LANE, 1, 10_000, signal)[Symbol.asyncIterator]().next();
  const offer = sampleOffer(freshRun(), LANE);
  await a?.offers.publish([offer]);
  expect((await pulled)?.value).toMatchObject({ value: offer, sequence: 1 });
  const none = b?.offers.pull(LANE, 1, 10, signal)[Symbol.asyncIterator]().next();
  expect((await none)?.done).toBe(true);
});
