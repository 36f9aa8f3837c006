import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxGraph } from '../../process-kit/busybox-graph.ts';
import { CommandLine } from '../../process-kit/command-line.ts';
import { NOTES_TRANSFERS, transfersOf } from '../../process-kit/daemon-log.ts';
import type { DaemonProcess } from '../../process-kit/daemon-process.ts';
import { placed } from '../../process-kit/large-artifact.ts';
import { BUSYBOX, podman } from '../../process-kit/podman-containers.ts';
import { ProcessMesh } from '../../process-kit/process-mesh.ts';
import { daemonFile, type PushedImage, pushImage } from '../../process-kit/pushed-image.ts';
import { removeFolder } from '../../process-kit/remove-folder.ts';

const MINUTES = 60_000;

describe('an image that was pushed to one peer', () => {
  let cluster: ProcessMesh;
  let ann: DaemonProcess;
  let bob: DaemonProcess;
  /** In the fast lane, where there is one. */
  let eve: DaemonProcess;
  let image: PushedImage;

  beforeAll(async () => {
    cluster = await ProcessMesh.start();
    [ann, bob, eve] = await Promise.all([
      cluster.addPeer('ann', { words: placed('ann') }),
      cluster.addPeer('bob', { words: placed('bob'), env: NOTES_TRANSFERS }),
      cluster.addPeer('eve', { words: placed('eve'), runtime: 'auto', env: NOTES_TRANSFERS }),
    ]);
    const { registry } = await daemonFile(ann.options.home);
    image = await pushImage(cluster.folder, `${registry}/me/tool:1`, 'pushed to ann');
  }, 8 * MINUTES);

  afterAll(async () => {
    await podman('rmi', '--force', '--ignore', image.id);
    await cluster.stop();
  }, 8 * MINUTES);

  async function saidAt(place: string, container: string): Promise<string> {
    const needs = { labels: [`place=${place}`] };
    const command = ['cat', '/said'];
    const outputs = { said: 'fd:1' };
    const jobs = [{ id: 'says', container, needs, command, outputs, cache: false }];
    const run = await cluster.publish(busyboxGraph(jobs));
    expect((await run.untilEnd()).state, run.told()).toBe('succeeded');
    expect(run.of('attempt-started'), JSON.stringify(run.of('attempt-failed'))).toHaveLength(1);
    const { 'says/said': said } = run.outputs();
    const pieces: Uint8Array[] = [];
    if (said !== undefined) {
      for await (const piece of cluster.mesh.artifacts.get(said)) pieces.push(piece);
    }
    return Buffer.concat(pieces).toString();
  }

  it(
    'is run by another at once; its layers cross the network once',
    async () => {
      expect(await saidAt('bob', 'mesh/me/tool:1')).toBe('pushed to ann\n');
      // By the port that the documentation names, whatever bob's own is.
      expect(await saidAt('bob', 'localhost:5055/me/tool:1')).toBe('pushed to ann\n');
      const transfers = await transfersOf(bob, image.layer);
      expect(transfers).toMatchObject([
        { msg: 'got an artifact from other peers', from: [ann.name] },
      ]);
    },
    8 * MINUTES,
  );

  it(
    'is run and pulled there when the first is gone, from what is there by now',
    async () => {
      await ann.stop();
      await podman('rmi', '--force', image.id);
      expect(await saidAt('bob', 'mesh/me/tool:1')).toBe('pushed to ann\n');
      const { registry } = await daemonFile(bob.options.home);
      const pulled = await podman('pull', '-q', `${registry}/me/tool:1`);
      expect(`sha256:${pulled.trim()}`).toBe(image.id);
      expect(await transfersOf(bob, image.layer)).toHaveLength(1);
    },
    8 * MINUTES,
  );

  it(
    'goes on to the next from there, and runs in the fast lane',
    async () => {
      await podman('rmi', '--force', image.id);
      expect(await saidAt('eve', 'mesh/me/tool:1')).toBe('pushed to ann\n');
      const transfers = await transfersOf(eve, image.layer);
      expect(transfers).toMatchObject([{ from: [bob.name] }]);
    },
    8 * MINUTES,
  );
});

describe('a tag that is pushed again', () => {
  const pushed: PushedImage[] = [];
  let folder: string;
  let cli: CommandLine;
  /** Another machine's, as far as the mesh can tell. */
  let other: CommandLine;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'podmesh-registry-'));
    cli = new CommandLine(join(folder, 'home'), folder);
    other = new CommandLine(join(folder, 'other'), folder);
    const up = await cli.run('up', '--detach');
    expect(up.code, up.err).toBe(0);
    expect(up.out).toMatch(/podman push localhost:\d+\/NAME:TAG, then mesh\/NAME:TAG in documents/);
  }, 8 * MINUTES);

  afterAll(async () => {
    await other.run('down');
    await cli.run('down');
    for (const { id } of pushed) await podman('rmi', '--force', '--ignore', id);
    await removeFolder(folder);
  }, 8 * MINUTES);

  it(
    'leaves a run with the image that it meant when it was published, and is what the next one gets',
    async () => {
      const { nats, registry } = await daemonFile(join(folder, 'home'));
      const tag = `${registry}/me/moving:1`;
      pushed.push(await pushImage(folder, tag, 'one'));
      // The job that reads becomes ready, and its image is looked for, after the tag was moved.
      const gate = { id: 'gate', container: BUSYBOX, command: ['true'], cache: false };
      const reads = { id: 'reads', after: ['gate'], command: ['cat', '/said'] };
      const writeGraph = (container: string) => {
        const jobs = [
          { ...gate, needs: { labels: ['gate=open'] } },
          { ...reads, container, outputs: { said: 'fd:1' } },
        ];
        return writeFile(join(folder, 'graph.json'), JSON.stringify({ version: 1, jobs }));
      };
      await writeGraph(tag);
      const published = await cli.run('run', 'graph.json', '--detach');
      expect([published.code, published.err]).toEqual([0, '']);
      pushed.push(await pushImage(folder, tag, 'two'));

      const opened = await other.run('up', '--detach', '--nats', nats, '--label', 'gate=open');
      expect(opened.code, opened.err).toBe(0);
      const waited = await cli.run('wait', 'last');
      expect(waited.code, waited.out + waited.err).toBe(0);
      expect(await cli.well('get', 'last/reads/said', '-o', '-')).toBe('one\n');

      await writeGraph('mesh/me/moving:1');
      const next = await cli.run('run', 'graph.json');
      expect(next.code, next.out + next.err).toBe(0);
      expect(await cli.well('get', 'last/reads/said', '-o', '-')).toBe('two\n');
    },
    8 * MINUTES,
  );
});
