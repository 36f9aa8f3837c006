import { join } from 'node:path';
import { type Graph, taskId } from '@podmesh/core';
import { connectMesh } from '@podmesh/jetstream';
import { sampleArtifact } from '@podmesh/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxGraph, shell } from '../process-kit/busybox-graph.ts';
import { CommandLine } from '../process-kit/command-line.ts';
import type { DaemonProcess } from '../process-kit/daemon-process.ts';
import { placed } from '../process-kit/large-artifact.ts';
import { ProcessMesh } from '../process-kit/process-mesh.ts';
import { removeFolder } from '../process-kit/remove-folder.ts';

const MINUTES = 60_000;
/** Of these 16 MiB the last twentieth is for what runs cannot do without. */
const STORE_BYTES = 16 * 2 ** 20;
const FILLING = { each: 256 * 2 ** 10, count: 62 };
const STORE_STREAM = 'OBJ_pm-artifacts';

/** A job in one place that says something and leaves a small file, and one that fails. */
const speaks = (place: string): Graph =>
  busyboxGraph([
    {
      id: 'make',
      cache: false,
      needs: { labels: [`place=${place}`] },
      command: shell('echo what make said', 'echo small > /tmp/small'),
      outputs: { small: 'file:/tmp/small' },
    },
    {
      id: 'fail',
      cache: false,
      needs: { labels: [`place=${place}`] },
      command: shell('echo what fail said', 'exit 3'),
    },
  ]);

const apart = (place: string) => ({
  words: placed(place),
  env: { PODMESH_PRETEND_HOST: place },
});

describe('a run while the object store of the mesh is full', () => {
  let cluster: ProcessMesh;
  let ann: DaemonProcess;
  let bob: DaemonProcess;

  beforeAll(async () => {
    cluster = await ProcessMesh.start();
    [ann, bob] = await Promise.all([
      cluster.addPeer('ann', apart('ann')),
      cluster.addPeer('bob', apart('bob')),
    ]);
    await fill();
  }, 8 * MINUTES);

  afterAll(() => cluster.stop(), 8 * MINUTES);

  /** Until only what is put without another place for it still fits. */
  async function fill(): Promise<void> {
    const { url } = cluster.server;
    const connection = await connectMesh({ url, name: 'filler', timeoutMs: 30_000 });
    try {
      await connection.jsm.streams.update(STORE_STREAM, { max_bytes: STORE_BYTES });
      for (let n = 0; n < FILLING.count; n += 1) {
        const { ref, bytes } = sampleArtifact(Buffer.alloc(FILLING.each, `${n} `));
        await cluster.mesh.artifacts.put(ref, pieces(bytes));
      }
      const { state } = await connection.jsm.streams.info(STORE_STREAM);
      expect(state.bytes).toBeGreaterThan(0.95 * STORE_BYTES);
      expect(state.bytes).toBeLessThan(0.99 * STORE_BYTES);
    } finally {
      await connection.close();
    }
  }

  it(
    'leaves its logs and small outputs on two disks, and all is there when the first is gone',
    async () => {
      const run = await cluster.publish(speaks('ann'));
      const end = await run.untilEnd();
      expect(end, run.told()).toMatchObject({ state: 'failed' });
      expect(end.short, run.told()).toBeUndefined();
      const [made] = run.of('attempt-succeeded');
      const [failed] = run.of('attempt-failed');
      const logs = [made?.event.result.log, failed?.event.failure.log];
      const small = made?.event.result.outputs.small;
      expect(made?.event.task).toBe(taskId('make'));
      for (const kept of [...logs, small]) {
        expect(kept?.bytes).toBeGreaterThan(0);
        // The server had no room for it, and still somebody else has it.
        const digests = kept === undefined ? [] : [kept.digest];
        expect((await cluster.mesh.artifacts.stat(digests)).size).toBe(0);
      }
      expect(logs.map((log) => log?.short)).toEqual([undefined, undefined]);

      await ann.kill();
      await ann.endPodmanService();
      await removeFolder(ann.options.home);
      const user = new CommandLine(join(cluster.folder, 'nobody'), cluster.folder);
      const ask = (...words: string[]) => user.run(...words, '--nats', cluster.server.url);
      expect(await ask('logs', `${run.run}/make`)).toMatchObject({
        code: 0,
        out: 'what make said\n',
      });
      expect(await ask('logs', `${run.run}/fail`)).toMatchObject({
        code: 0,
        out: 'what fail said\n',
      });
      const got = await ask('get', `${run.run}/make/small`, '-o', '-');
      expect(got, bob.said).toMatchObject({ code: 0, out: 'small\n' });
    },
    10 * MINUTES,
  );

  it(
    'says that a log is on one disk where there is no other',
    async () => {
      // Until then it would be asked in vain, and be told of as one that does not answer.
      const listed = async () => (await cluster.mesh.peers.list()).map(({ peer }) => `${peer}`);
      await expect.poll(listed, { timeout: 60_000 }).toEqual([bob.name]);
      const run = await cluster.publish(speaks('bob'));
      await run.untilEnd();
      const [made] = run.of('attempt-succeeded');
      expect(made?.event.result.log.short, run.told()).toContain('no other peer is in the mesh');
      const user = new CommandLine(bob.options.home, cluster.folder);
      const said = await user.run('logs', `${run.run}/make`);
      expect(said).toMatchObject({ code: 0, out: 'what make said\n' });
      expect(said.err).toContain('is on one disk only: no other peer is in the mesh');
    },
    10 * MINUTES,
  );
});

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes;
}
