import type { ArtifactId } from '@podmesh/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type BaseImage, buildsOn, saveBase } from '../../process-kit/built-image.ts';
import { busyboxGraph, shell } from '../../process-kit/busybox-graph.ts';
import { NOTES_TRANSFERS, transfersOf } from '../../process-kit/daemon-log.ts';
import type { DaemonProcess } from '../../process-kit/daemon-process.ts';
import { placed } from '../../process-kit/large-artifact.ts';
import { podman, untilGone } from '../../process-kit/podman-containers.ts';
import { ProcessMesh } from '../../process-kit/process-mesh.ts';
import type { PublishedRun } from '../../process-kit/published-run.ts';

const MINUTES = 60_000;
const at = (place: string) => ({ labels: [`place=${place}`] });

describe('an image that a job makes', () => {
  const ids = new Set<string>();
  let cluster: ProcessMesh;
  let ann: DaemonProcess;
  let bob: DaemonProcess;
  /** In the fast lane, where there is one. */
  let dan: DaemonProcess;
  /** On another machine, as far as the mesh can tell: the second copies of outputs are there. */
  let eve: DaemonProcess;
  let base: BaseImage;
  /** The base's own layer. */
  let large: ArtifactId | undefined;

  beforeAll(async () => {
    cluster = await ProcessMesh.start();
    const env = NOTES_TRANSFERS;
    const elsewhere = { ...env, PODMESH_PRETEND_HOST: 'elsewhere' };
    [ann, bob, dan, eve] = await Promise.all([
      cluster.addPeer('ann', { words: placed('ann'), env }),
      cluster.addPeer('bob', { words: placed('bob'), env }),
      cluster.addPeer('dan', { words: placed('dan'), env, runtime: 'auto' }),
      cluster.addPeer('eve', { words: placed('eve'), env: elsewhere }),
    ]);
    base = await saveBase(cluster.folder, cluster.mesh);
    large = base.layers.at(-1)?.digest;
  }, 8 * MINUTES);

  afterAll(async () => {
    await forget();
    await cluster.stop();
  }, 8 * MINUTES);

  /** Podman, which all peers of a test share, has them no more. */
  async function forget(): Promise<void> {
    if (ids.size > 0) await podman('rmi', '--force', '--ignore', ...ids);
    ids.clear();
  }

  /** `said` is what the image says there, `image` the archive. */
  async function ranAt(place: string, word: string) {
    const jobs = [
      { ...buildsOn(base, word), needs: at('ann'), replicas: 2 },
      {
        id: 'says',
        container: 'jobs:build/image',
        needs: at(place),
        cache: false,
        command: ['cat', '/said'],
        outputs: { said: 'fd:1' },
      },
    ];
    const run = await cluster.publish(busyboxGraph(jobs));
    expect((await run.untilEnd()).state, run.told()).toBe('succeeded');
    expect(run.violations()).toEqual([]);
    // Its image cannot be taken away before.
    await untilGone({ run: run.run });
    expect(run.of('attempt-failed'), run.told()).toEqual([]);
    for (const { event } of run.of('attempt-succeeded'))
      if (event.task === ('says' as never)) ids.add(event.result.image);
    const { 'says/said': said, 'build/image': image } = run.outputs();
    const pieces: Uint8Array[] = [];
    if (said !== undefined)
      for await (const piece of cluster.mesh.artifacts.get(said)) pieces.push(piece);
    return { said: Buffer.concat(pieces).toString(), image, run };
  }

  const started = (run: PublishedRun): number => run.of('attempt-started').length;

  it(
    'is run by another peer from its parts: each crosses the network once, and what Podman has not at all',
    async () => {
      const { said, image } = await ranAt('bob', 'first');
      expect(said).toBe('first\n');
      const got = { msg: 'got an artifact from other peers' };
      expect(await transfersOf(bob, large)).toMatchObject([{ ...got, from: [ann.name] }]);
      expect(await transfersOf(bob, base.layers[0]?.digest)).toEqual([]);
      expect(await transfersOf(bob, image)).toEqual([]);
    },
    8 * MINUTES,
  );

  it(
    'that is made anew on the same base brings only what is new',
    async () => {
      await forget();
      const { said, image } = await ranAt('bob', 'second');
      expect(said).toBe('second\n');
      expect(await transfersOf(bob, large)).toHaveLength(1);
      expect(await transfersOf(bob, image)).toEqual([]);
    },
    8 * MINUTES,
  );

  it(
    'that has compressed layers goes the same way, also without those that Podman has',
    async () => {
      const saved = await saveBase(cluster.folder, cluster.mesh, 'oci-archive');
      const [below, own] = saved.layers;
      const jobs = [
        {
          id: 'copy',
          inputs: { saved: saved.archive },
          needs: at('ann'),
          command: shell('cp /in/saved /tmp/image'),
          outputs: { image: 'file:/tmp/image' },
        },
        { id: 'uses', container: 'jobs:copy/image', needs: at('bob'), command: ['ls', '/large'] },
      ];
      const run = await cluster.publish(busyboxGraph(jobs));
      expect((await run.untilEnd()).state, run.told()).toBe('succeeded');
      await untilGone({ run: run.run });
      for (const { event } of run.of('attempt-succeeded'))
        if (event.task === ('uses' as never)) ids.add(event.result.image);
      expect(await transfersOf(bob, own?.digest)).toMatchObject([{ from: [ann.name] }]);
      expect(await transfersOf(bob, below?.digest)).toEqual([]);
      expect(await transfersOf(bob, saved.archive)).toEqual([]);
    },
    8 * MINUTES,
  );

  it(
    'is run when its maker is gone: from the parts at who has run it, and of the copy of the archive',
    async () => {
      await ann.stop();
      await forget();
      const next = await ranAt('dan', 'second');
      expect([next.said, started(next.run)]).toEqual(['second\n', 1]);
      // By parts; the archive may come, too, where the copy that is gone with its maker is made again.
      expect(await transfersOf(dan, large)).toMatchObject([{ from: [bob.name] }]);
      await Promise.all([bob.stop(), dan.stop()]);
      await forget();
      const last = await ranAt('eve', 'second');
      expect([last.said, started(last.run)]).toEqual(['second\n', 1]);
      expect(await transfersOf(eve, large)).toEqual([]);
      expect(await transfersOf(eve, last.image)).toHaveLength(1);
    },
    12 * MINUTES,
  );

  it(
    'that is none is the failure of who made it, in words that say what is wrong',
    async () => {
      const jobs = [
        {
          id: 'build',
          needs: at('eve'),
          command: shell('head -c 3000 /dev/urandom > /tmp/image'),
          outputs: { image: 'file:/tmp/image' },
        },
        { id: 'says', container: 'jobs:build/image', command: ['true'] },
      ];
      const run = await cluster.publish(busyboxGraph(jobs));
      expect((await run.untilEnd()).state, run.told()).toBe('failed');
      const [failed, ...more] = run.of('attempt-failed');
      expect(more).toEqual([]);
      expect(failed?.event.failure).toMatchObject({ kind: 'output-missing' });
      expect(failed?.event.failure.message).toMatch(
        /output image is meant as an image, but the image archive sha256:\w+ is no tar archive/,
      );
    },
    8 * MINUTES,
  );
});
