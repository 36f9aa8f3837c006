import { setMaxListeners } from 'node:events';
import {
  type ArtifactFinder,
  type ArtifactId,
  artifactId,
  CHUNK_BYTES,
  type Holders,
  type Holding,
  type PeerDirectory,
  type PeerId,
  WHO_HAS_ARTIFACTS_MAX,
  type WhoHasUntil,
} from '@podmesh/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { freshAction, samplePeer } from '../samples.ts';
import { type Bench, type MakeBench, until, useBench, within } from './bench.ts';

type FinderBench = Bench<{ readonly finder: ArtifactFinder; readonly peers: PeerDirectory }>;
type Held = Omit<Holding, 'peer'>;

/** Longer than the longest question takes. */
const ASKED_MS = 10_000;
const PEERS = 100;

/** What every finder of artifacts must do, whatever is behind it. */
export function describeArtifactFinder(name: string, make: MakeBench<FinderBench>): void {
  describe(`${name}: ArtifactFinder`, () => {
    const use = useBench(make);
    let stop = new AbortController();
    beforeEach(() => {
      stop = new AbortController();
      // It ends a hundred answering peers.
      setMaxListeners(0, stop.signal);
    });
    afterEach(() => stop.abort());

    /** A listed peer behind the other connection that has these. */
    async function join(held: readonly Held[], answers = true): Promise<PeerId> {
      const { other } = use();
      const entry = samplePeer();
      await other.peers.announce(entry);
      const holds = (asked: readonly ArtifactId[]) =>
        held.filter(({ artifact }) => asked.includes(artifact));
      if (answers) void other.finder.answer(entry.peer, holds, stop.signal);
      return entry.peer;
    }

    const ask = (
      artifacts: readonly ArtifactId[],
      end: WhoHasUntil = 'roll-call',
    ): Promise<Holders> =>
      within(use(), ASKED_MS, use().ports.finder.whoHas(artifacts, end, stop.signal));

    it('tells who has what, and of whom only a part is there', async () => {
      const [one, two, nobodys] = [fresh(), fresh(), fresh()];
      const a = await join([held(one, 7), held(two, 9, false)]);
      const b = await join([held(two, 9)]);
      const { found, silent } = await ask([one, two, nobodys]);
      expect(silent).toEqual([]);
      expect(found.get(one)).toEqual([{ ...held(one, 7), peer: a }]);
      expect(found.get(two)).toHaveLength(2);
      expect(found.get(two)).toContainEqual({ ...held(two, 9, false), peer: a });
      expect(found.get(two)).toContainEqual({ ...held(two, 9), peer: b });
      expect(found.has(nobodys)).toBe(false);
    });

    it('ends as soon as each has a holder', async () => {
      const [one, two] = [fresh(), fresh()];
      const a = await join([held(one)]);
      const b = await join([held(two)]);
      // By then both are listening.
      await ask([fresh()]);
      // Not `within`: in virtual time no time passes, so that it cannot have waited.
      const { found } = await use().ports.finder.whoHas([one, two], 'first', stop.signal);
      expect([found.get(one)?.[0]?.peer, found.get(two)?.[0]?.peer]).toEqual([a, b]);
    });

    it('tells of everybody who has some, and of one artifact which chunks', async () => {
      const one = fresh();
      const here = Uint8Array.of(5);
      const a = await join([held(one, 3 * CHUNK_BYTES)]);
      const b = await join([{ ...held(one, 3 * CHUNK_BYTES, false), here }]);
      // By then both are listening.
      await ask([fresh()]);
      const { found } = await ask([one], 'everybody');
      const holdings = found.get(one) ?? [];
      expect(holdings.map(({ peer }) => peer).sort()).toEqual([a, b].sort());
      expect([...(holdings.find(({ peer }) => peer === b)?.here ?? [])]).toEqual([5]);
    });

    it('finds no holder where there is none, and no peer is to be waited for', async () => {
      await join([]);
      const { found, silent } = await ask([fresh()], 'first');
      expect([found.size, silent]).toEqual([0, []]);
      expect(await ask([fresh()])).toEqual({ found: new Map(), silent: [] });
    });

    it('tells the parts that are there when there is no more', async () => {
      const one = fresh();
      const a = await join([held(one, 5, false)]);
      await ask([fresh()]);
      const { found } = await ask([one], 'first');
      expect(found.get(one)).toEqual([{ ...held(one, 5, false), peer: a }]);
    });

    it('lists who is silent, and still tells what the others have', async () => {
      const one = fresh();
      const a = await join([held(one)]);
      const silent = await join([], false);
      const holders = await ask([one]);
      expect(holders.silent).toEqual([silent]);
      expect(holders.found.get(one)).toEqual([{ ...held(one), peer: a }]);
    });

    it('hears itself when it is a peer', async () => {
      const { ports } = use();
      const [entry, one] = [samplePeer(), fresh()];
      await ports.peers.announce(entry);
      void ports.finder.answer(entry.peer, () => [held(one)], stop.signal);
      expect((await ask([one])).found.get(one)).toEqual([{ ...held(one), peer: entry.peer }]);
    });

    it(`hears ${PEERS} peers`, async () => {
      const [common, nobodys] = [fresh(), fresh()];
      const own = Array.from({ length: PEERS }, () => fresh());
      const peers = await Promise.all(own.map((one) => join([held(one), held(common)])));
      // Until all are listed at the same time: entries of a hundred peers may run out on a slow machine.
      const { found, silent } = await until(use(), async () => {
        await Promise.all(peers.map((peer) => use().other.peers.announce(samplePeer(peer))));
        const holders = await ask([...own, common, nobodys]);
        return holders.found.get(common)?.length === PEERS && holders;
      });
      expect(silent).toEqual([]);
      expect(own.every((one) => found.get(one)?.length === 1)).toBe(true);
      expect(found.has(nobodys)).toBe(false);
    });

    it(`asks for up to ${WHO_HAS_ARTIFACTS_MAX} at once, and for none without asking`, async () => {
      const many = Array.from({ length: WHO_HAS_ARTIFACTS_MAX }, () => fresh());
      await join(many.map((one) => held(one, 64 * 1024 ** 3)));
      expect((await ask([...many, ...many])).found.size).toBe(WHO_HAS_ARTIFACTS_MAX);
      expect(await ask([])).toEqual({ found: new Map(), silent: [] });
      await expect(ask([...many, fresh()])).rejects.toThrow(RangeError);
    });

    it('ends with its signal, on both sides', async () => {
      const { ports, other } = use();
      await join([], false);
      const end = new AbortController();
      const answering = other.finder.answer(samplePeer().peer, () => [], end.signal);
      const asking = ports.finder.whoHas([fresh()], 'roll-call', end.signal);
      end.abort(new Error('enough'));
      await expect(asking).rejects.toThrow('enough');
      await answering;
      await expect(ports.finder.whoHas([fresh()], 'first', end.signal)).rejects.toThrow('enough');
      await other.finder.answer(samplePeer().peer, () => [], end.signal);
    });
  });
}

const fresh = (): ArtifactId => artifactId(freshAction());

const held = (artifact: ArtifactId, bytes = 1, whole = true): Held => ({ artifact, bytes, whole });
