import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Graph, SMALL_ARTIFACT_BYTES_MAX } from '@podmesh/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxGraph, shell } from '../process-kit/busybox-graph.ts';
import { CommandLine } from '../process-kit/command-line.ts';
import type { DaemonProcess } from '../process-kit/daemon-process.ts';
import { LARGE_BYTES, LARGE_MIB, placed } from '../process-kit/large-artifact.ts';
import { ProcessMesh } from '../process-kit/process-mesh.ts';
import type { PublishedRun } from '../process-kit/published-run.ts';
import { removeFolder } from '../process-kit/remove-folder.ts';

const MINUTES = 60_000;

/** A job in one place that leaves a large file, a small one, and a directory with one of each. */
const leavesAll = (place: string): Graph =>
  busyboxGraph([
    {
      id: 'make',
      cache: false,
      needs: { labels: [`place=${place}`] },
      command: shell(
        'mkdir /tmp/both',
        `dd if=/dev/urandom of=/tmp/large bs=1M count=${LARGE_MIB}`,
        'dd if=/dev/urandom of=/tmp/small bs=1K count=1',
        `dd if=/dev/urandom of=/tmp/both/large bs=${SMALL_ARTIFACT_BYTES_MAX} count=2`,
        'cp /tmp/small /tmp/both/small',
      ),
      outputs: { large: 'file:/tmp/large', small: 'file:/tmp/small', both: 'dir:/tmp/both' },
    },
  ]);

/** As a peer on a machine of its own. */
const apart = (place: string) => ({
  words: placed(place),
  env: { PODMESH_PRETEND_HOST: place },
});

describe('outputs of a run', () => {
  let cluster: ProcessMesh;
  let ann: DaemonProcess;
  let bob: DaemonProcess;

  beforeAll(async () => {
    cluster = await ProcessMesh.start();
    ann = await cluster.addPeer('ann', apart('ann'));
  }, 8 * MINUTES);

  afterAll(() => cluster.stop(), 8 * MINUTES);

  /** What a user without a daemon gets, as a digest; with what the command said instead where it failed. */
  async function got(run: PublishedRun, output: string): Promise<string> {
    const user = new CommandLine(join(cluster.folder, 'nobody'), cluster.folder);
    const file = `got-${output.replaceAll('/', '-')}`;
    const name = `${run.run}/make/${output}`;
    const said = await user.run('get', name, '-o', file, '--force', '--nats', cluster.server.url);
    if (said.code !== 0) return said.err;
    return `sha256:${createHash('sha256')
      .update(await readFile(join(cluster.folder, file)))
      .digest('hex')}`;
  }

  it(
    'have one copy where there is one peer, which is told, and is no reason to wait',
    async () => {
      const run = await cluster.publish(leavesAll('ann'));
      const end = await run.untilEnd();
      expect(end, run.told()).toMatchObject({ state: 'succeeded', short: 1 });
      const [kept] = run.of('outputs-kept');
      expect(kept?.event).toMatchObject({ keepers: [ann.name], wanted: 2 });
      expect(kept?.event.short).toContain('no other peer is in the mesh');
      const user = new CommandLine(ann.options.home, cluster.folder);
      const shown = await user.run('show', run.run);
      expect(shown.out).toContain('1 copy only: no other peer is in the mesh');
    },
    8 * MINUTES,
  );

  it(
    'are there although the peer that made them was killed, and its disk is gone',
    async () => {
      bob = await cluster.addPeer('bob', apart('bob'));
      const run = await cluster.publish(leavesAll('ann'));
      const end = await run.untilEnd();
      expect(end.state, run.told()).toBe('succeeded');
      expect(end.short, run.told()).toBeUndefined();
      const [kept] = run.of('outputs-kept');
      expect(kept?.event).toMatchObject({ wanted: 2 });
      expect([...(kept?.event.keepers ?? [])].sort()).toEqual([ann.name, bob.name].sort());
      const { 'make/large': large, 'make/small': small } = run.outputs();
      // None of the large bytes went through the server.
      expect((await cluster.mesh.artifacts.stat(large === undefined ? [] : [large])).size).toBe(0);

      // Nothing but room on the disk decides over them any more.
      const held = join(bob.options.home, 'store', 'held');
      await expect.poll(() => readdir(held), { timeout: 4 * MINUTES }).toEqual([]);
      await ann.kill();
      await ann.endPodmanService();
      await removeFolder(ann.options.home);
      expect(await got(run, 'large')).toBe(large);
      expect(await got(run, 'small')).toBe(small);
      const user = new CommandLine(bob.options.home, cluster.folder);
      expect(await user.run('get', `${run.run}/make/both`)).toMatchObject({ code: 0 });
      const both = join(cluster.folder, 'both');
      expect((await readFile(join(both, 'large'))).length).toBe(2 * SMALL_ARTIFACT_BYTES_MAX);
      const copied = await readFile(join(both, 'small'));
      expect(`sha256:${createHash('sha256').update(copied).digest('hex')}`).toBe(small);
      expect((await readFile(join(cluster.folder, 'got-large'))).length).toBe(LARGE_BYTES);
    },
    8 * MINUTES,
  );
});
