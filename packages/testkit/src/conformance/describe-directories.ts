import type { LaneDirectory, PeerDirectory, PeerEntry } from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import { freshLane, SMALL, samplePeer } from '../samples.ts';
import { all, type Bench, type MakeBench, until, useBench, within } from './bench.ts';

type PeerBench = Bench<{ readonly peers: PeerDirectory }>;
type LaneBench = Bench<{ readonly lanes: LaneDirectory }>;

/** What every directory of peers must do, whatever is behind it. */
export function describePeerDirectory(name: string, make: MakeBench<PeerBench>): void {
  describe(`${name}: PeerDirectory`, () => {
    const use = useBench(make);

    it('shows a peer to others', async () => {
      const { ports, other } = use();
      const entry = samplePeer();
      await ports.peers.announce(entry);
      await until(use(), async () => (await other.peers.find(entry.peer)) !== undefined);
      expect(await other.peers.find(entry.peer)).toEqual(entry);
      expect((await other.peers.list()).map(asTold)).toContainEqual(entry);
    });

    it('shows the newest announcement', async () => {
      const { ports, other } = use();
      const entry = samplePeer();
      await ports.peers.announce(entry);
      const newer = { ...entry, driving: 3, paused: 'its owner is at the keyboard' };
      await ports.peers.announce(newer);
      await until(use(), async () => (await other.peers.find(entry.peer))?.driving === 3);
      const listed = (await other.peers.list()).filter(({ peer }) => peer === entry.peer);
      expect(listed.map(asTold)).toEqual([newer]);
    });

    it('forgets a peer that said goodbye; twice is harmless', async () => {
      const { ports, other } = use();
      const entry = samplePeer();
      await ports.peers.announce(entry);
      await ports.peers.withdraw(entry.peer);
      await ports.peers.withdraw(entry.peer);
      await until(use(), async () => (await other.peers.find(entry.peer)) === undefined);
      expect(await other.peers.list()).not.toContainEqual(entry);
    });

    it('forgets a peer that fell silent, and takes it back', async () => {
      const { ports, other } = use();
      const entry = samplePeer();
      await ports.peers.announce(entry);
      await until(use(), async () => (await other.peers.find(entry.peer)) === undefined);
      expect(await other.peers.list()).not.toContainEqual(entry);
      await ports.peers.announce(entry);
      await until(use(), async () => (await other.peers.find(entry.peer)) !== undefined);
    });

    it('knows nothing of strangers', async () => {
      expect(await use().ports.peers.find(samplePeer().peer)).toBeUndefined();
    });
  });
}

/** What every directory of lanes must do, whatever is behind it. */
export function describeLaneDirectory(name: string, make: MakeBench<LaneBench>): void {
  describe(`${name}: LaneDirectory`, () => {
    const use = useBench(make);

    it('shows a lane to others; opening it twice is harmless', async () => {
      const { ports, other } = use();
      const lane = freshLane();
      const requirements = { ...SMALL, arch: 'arm64', labels: ['room=kitchen'] };
      await ports.lanes.open(lane, requirements);
      await other.lanes.open(lane, requirements);
      await until(use(), async () => (await other.lanes.list()).has(lane));
      expect((await other.lanes.list()).get(lane)).toEqual(requirements);
    });

    it('says that lanes may have changed, and ends with its signal', async () => {
      const { ports, other } = use();
      const stop = new AbortController();
      let changes = 0;
      const watching = (async () => {
        for await (const _ of other.lanes.changes(stop.signal)) changes += 1;
      })();
      await until(use(), async () => {
        if (changes === 0) await ports.lanes.open(freshLane(), SMALL);
        return changes > 0;
      });
      stop.abort();
      await within(use(), 1_000, watching);
      expect(await all(ports.lanes.changes(stop.signal))).toEqual([]);
    });
  });
}

/** Without what the reader adds. */
const asTold = ({ heardAtMs: _, ...entry }: PeerEntry): PeerEntry => entry;
