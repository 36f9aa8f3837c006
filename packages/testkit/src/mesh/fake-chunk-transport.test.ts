import { peerId, SOURCE_STALL_MS } from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import { Random } from '../random.ts';
import { samplePeer } from '../samples.ts';
import { CALM, type FaultPlan } from '../simulation/fault-plan.ts';
import type { SimProcess } from '../simulation/sim-process.ts';
import { World } from '../simulation/world.ts';
import { type ChunkFault, seededFaults } from './chunk-faults.ts';
import { FakeMesh } from './fake-mesh.ts';
import { chunkListOf, chunkPlaces, MemoryChunkSource } from './memory-chunk-source.ts';

const PEER = peerId('source');
const never = () => new AbortController().signal;

/** Two machines: one serves an artifact and answers who has it, the other asks. */
function simulated(plan: FaultPlan = CALM) {
  const world = new World({ seed: 'chunks', plan });
  const mesh = new FakeMesh(world);
  const [serving, asking] = ['serving', 'asking'].map((name) => {
    const machine = world.machine(name, () => undefined);
    machine.start();
    return machine.process as SimProcess;
  }) as [SimProcess, SimProcess];
  const source = new MemoryChunkSource();
  const { ref, bytes } = source.add(Buffer.from('some bytes of an artifact'));
  const ports = mesh.portsFor(serving);
  void ports.serveRelay(PEER, source, never());
  const held = { artifact: ref.digest, bytes: ref.bytes, whole: true };
  void ports.finder.answer(PEER, () => [held], never());
  const [place] = chunkPlaces(ref.digest, ref.bytes);
  if (place === undefined) throw new Error('no chunk');
  const { relay, finder } = mesh.portsFor(asking);
  const into = new Uint8Array(ref.bytes);
  const fetch = async (signal = never()) => {
    const fetching = relay.fetch(PEER, place, into, signal);
    fetching.catch(() => undefined);
    await world.run(world.nowMs() + 60_000);
    return fetching;
  };
  return { world, mesh, serving, bytes, list: chunkListOf(bytes), into, fetch, relay, finder, ref };
}

describe('a fault of a source', () => {
  const outcomeOf = async (fault: ChunkFault) => {
    const sim = simulated();
    sim.mesh.chunks.faults = () => fault;
    const outcome = await sim.fetch();
    expect(sim.mesh.chunks.asksInFlight).toBe(0);
    return { outcome, same: Buffer.from(sim.into).equals(sim.bytes), into: sim.into };
  };

  it('is what it says', async () => {
    const dies = await outcomeOf('dies');
    expect(dies.outcome).toMatchObject({ ok: false, error: { kind: 'unreachable' } });
    expect(dies.into.some((byte) => byte !== 0)).toBe(true);
    expect(dies.into.at(-1)).toBe(0);
    expect(await outcomeOf('corrupt')).toMatchObject({ outcome: { ok: true }, same: false });
    expect(await outcomeOf('busy')).toMatchObject({ outcome: { error: { kind: 'busy' } } });
    expect(await outcomeOf('stalls')).toMatchObject({ outcome: { error: { kind: 'stalled' } } });
  });

  it('may be a lie about the list', async () => {
    const { mesh, relay, world, ref, list } = simulated();
    mesh.chunks.faults = () => 'lies';
    const listing = relay.chunkList(PEER, ref.digest, never());
    await world.run(1_000);
    const lie = await listing;
    if (!lie.ok) throw new Error('no list');
    expect(lie.value.digests).toHaveLength(list.digests.length);
    expect(lie.value).not.toEqual(list);
  });

  it('is drawn from a seed, and a liar stays one', () => {
    const chances = { dies: 0.2, lies: 0.5, corrupt: 0.2, stalls: 0.2, busy: 0.2 };
    const { ref } = simulated();
    const draw = () => {
      const faults = seededFaults(new Random('f'), chances);
      return Array.from({ length: 200 }, (_, at) => {
        const source = peerId(`peer-${at % 10}`);
        return faults({ source, artifact: ref.digest, what: at % 2 === 0 ? 'list' : at });
      });
    };
    const drawn = draw();
    expect(draw()).toEqual(drawn);
    expect(new Set(drawn).size).toBe(6);
    const lists = drawn.filter((_, at) => at % 10 === 0);
    expect(new Set(lists.map((fault) => fault === 'lies')).size).toBe(1);
  });
});

describe('a process that serves', () => {
  it('serves no more when it is dead, and answers nobody', async () => {
    const { serving, fetch, finder, mesh, ref, world } = simulated();
    expect((await fetch()).ok).toBe(true);
    mesh.peers.announce(samplePeer('source'));
    serving.crash('in this test');
    expect(await fetch()).toMatchObject({ ok: false, error: { kind: 'unreachable' } });
    mesh.peers.announce(samplePeer('source'));
    const roll = finder.whoHas([ref.digest], 'roll-call', never());
    await world.run(world.nowMs() + 60_000);
    expect(await roll).toEqual({ found: new Map(), silent: [PEER] });
  });

  it('is left when it is frozen for longer than a source may stall', async () => {
    const { serving, fetch } = simulated();
    serving.freeze(3 * SOURCE_STALL_MS);
    expect(await fetch()).toMatchObject({ ok: false, error: { kind: 'stalled' } });
    expect((await fetch()).ok).toBe(true);
  });

  it('is asked again where messages get lost', async () => {
    const lossy = { ...CALM, lostDeliveryChance: 0.3, latencyMs: [1, 50] as const };
    const { finder, mesh, ref, world } = simulated(lossy);
    let found = 0;
    for (let at = 0; at < 50; at += 1) {
      mesh.peers.announce(samplePeer('source'));
      const roll = finder.whoHas([ref.digest], 'roll-call', never());
      await world.run(world.nowMs() + 5_000);
      const { found: holders, silent } = await roll;
      expect(holders.size + silent.length).toBe(1);
      found += holders.size;
    }
    // Each time it is lost with a chance of 0.51, and asked three times.
    expect(found).toBeGreaterThan(30);
  });
});
