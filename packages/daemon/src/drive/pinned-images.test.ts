import { digestAction, pinGraph } from '@podmesh/core';
import { sampleResult } from '@podmesh/testkit';
import { describe, expect, it } from 'vitest';
import {
  eventsOf,
  graphOf,
  newBench,
  peerParts,
  publishGraph,
  settled,
} from '../daemon.test-kit.ts';
import { sha256 } from '../store/local-task-files.ts';
import { LostFromStore } from '../store/lost-outputs.ts';
import { Driver, type DriverParts } from './driver.ts';
import { ImageFinder } from './image-finder.ts';

const TOOL = 'localhost/tool:1';
const [AMD, ARM, MOVED] = ['a', 'b', 'c'].map((letter) => `sha256:${letter.repeat(64)}`);

/** A driver on a machine where the tag means another image by now. */
function newCase(jobs: readonly object[]) {
  const bench = newBench();
  bench.host.images.set(MOVED ?? '', [TOOL]);
  const pins = new Map([[TOOL, { amd64: AMD ?? '', arm64: ARM ?? '' }]]);
  const run = publishGraph(bench.mesh, pinGraph(graphOf(...jobs), pins));
  const parts: DriverParts = {
    ...peerParts(bench, 'p'),
    images: new ImageFinder({ ...peerParts(bench, 'p'), arch: () => 'amd64' }),
    platform: () => 'linux/amd64',
    lost: new LostFromStore(bench.ports.artifacts),
  };
  const stop = new AbortController();
  const driving = new Driver(parts, run).drive(stop.signal);
  return { ...bench, run, parts, driving, stop };
}

describe('a driver of a run with pinned images', () => {
  it('offers the pins of all architectures, and not what the tag means on its own machine', async () => {
    const { mesh, clock, stop, driving } = newCase([{ id: 'a' }]);
    await clock.advance(1_000);
    expect(mesh.offers.all().map(({ value }) => value.image)).toEqual([
      { kind: 'reference', reference: TOOL, pins: { amd64: AMD, arm64: ARM } },
    ]);
    stop.abort();
    await settled(clock, driving);
  });

  it.each([
    [{ id: 'a' }, AMD, 'linux/amd64'],
    [{ id: 'a', needs: { arch: 'arm64' } }, ARM, 'linux/arm64'],
  ])(
    'takes the result of %j from the cache by the pin of its architecture',
    async (job, image, on) => {
      const { run, mesh, clock, parts, stop, driving } = newCase([job]);
      // As it would be for a job that names the image by its id.
      const byId = { kind: 'digest', digest: image ?? '' } as const;
      const outputs = { out: { kind: 'file', path: '/out' } } as const;
      const plain = { image: byId, env: {}, inputs: {}, outputs, net: false };
      const action = digestAction(plain, image ?? '', on, sha256);
      await parts.results.record(action, sampleResult());
      await clock.advance(1_000);
      expect(eventsOf(mesh, run)).toContainEqual(
        expect.objectContaining({ kind: 'task-cached', action }),
      );
      expect(mesh.offers.all()).toEqual([]);
      stop.abort();
      await settled(clock, driving);
    },
  );
});
