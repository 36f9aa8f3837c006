import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { SMALL_ARTIFACT_BYTES_MAX } from '@podmesh/core';
import { freePort } from '@podmesh/jetstream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxGraph, shell } from '../process-kit/busybox-graph.ts';
import { CommandLine } from '../process-kit/command-line.ts';
import type { DaemonProcess } from '../process-kit/daemon-process.ts';
import { placed } from '../process-kit/large-artifact.ts';
import { ProcessMesh } from '../process-kit/process-mesh.ts';

const MINUTES = 60_000;
const MADE_MIB = 192;
const SERVED = /^podmesh_artifact_bytes_total\{[^}]*direction="served"[^}]*\} (\S+)$/gm;
/** So much has come when a source is killed: more than one chunk, and far less than all. */
const BEFORE_BYTES = 16 * SMALL_ARTIFACT_BYTES_MAX;

describe('podmesh get -o -', () => {
  let cluster: ProcessMesh;
  const metricsOf = new Map<DaemonProcess, number>();

  beforeAll(async () => {
    cluster = await ProcessMesh.start();
    await Promise.all(
      ['ann', 'bob', 'eve'].map(async (name) => {
        const port = await freePort();
        const words = [...placed(name), '--metrics-port', String(port)];
        const peer = await cluster.addPeer(name, { words, env: { PODMESH_PRETEND_HOST: name } });
        metricsOf.set(peer, port);
      }),
    );
  }, 8 * MINUTES);

  afterAll(() => cluster.stop(), 8 * MINUTES);

  /** Bytes that others were given by it, whichever way. */
  async function servedBy(peer: DaemonProcess): Promise<number> {
    const told = await (await fetch(`http://127.0.0.1:${metricsOf.get(peer)}/metrics`)).text();
    const sums = [...told.matchAll(SERVED)].map(([, sum]) => Number(sum));
    expect(sums, told).toHaveLength(2);
    return sums.reduce((all, sum) => all + sum, 0);
  }

  it(
    'pours out every byte once and in order, although one of the two peers that have it is killed in the middle',
    async () => {
      const run = await cluster.publish(
        busyboxGraph([
          {
            id: 'make',
            cache: false,
            needs: { labels: ['place=ann'] },
            command: shell(`dd if=/dev/urandom of=/tmp/large bs=1M count=${MADE_MIB}`),
            outputs: { large: 'file:/tmp/large' },
          },
        ]),
      );
      expect((await run.untilEnd()).state, run.told()).toBe('succeeded');
      const { keepers = [] } = run.of('outputs-kept')[0]?.event ?? {};
      const holders = cluster.peers.filter(({ name }) => keepers.some((peer) => peer === name));
      expect(holders, run.told()).toHaveLength(2);
      // The second copy was made from the first one, before anybody asked for it.
      const before = await Promise.all(holders.map(servedBy));
      const given = async () =>
        (await Promise.all(holders.map(servedBy))).map((sum, at) => sum - (before[at] ?? 0));

      const user = new CommandLine(join(cluster.folder, 'nobody'), cluster.folder);
      const name = `${run.run}/make/large`;
      const poured = user.start('get', name, '-o', '-', '--nats', cluster.server.url);
      const closed = once(poured, 'close');
      const said: Buffer[] = [];
      poured.stderr.on('data', (piece: Buffer) => said.push(piece));
      const hash = createHash('sha256');
      let [bytes, killedAt, most, left] = [0, 0, 0, 0];
      for await (const piece of poured.stdout as AsyncIterable<Buffer>) {
        hash.update(piece);
        bytes += piece.length;
        if (killedAt > 0 || bytes < BEFORE_BYTES) continue;
        killedAt = bytes;
        // Nothing is read meanwhile: the rest of it is still to come.
        const sums = await given();
        most = Math.max(...sums);
        left = sums.findIndex((sum) => sum < most);
        // Where both gave as much, it is the first.
        if (left < 0) left = 1;
        await holders[1 - left]?.kill();
      }
      const [code] = await closed;
      expect([code, Buffer.concat(said).toString()]).toEqual([0, '']);
      // The one that was killed gave some of it, and the other one the rest.
      expect(most).toBeGreaterThan(0);
      const other = holders[left];
      if (other === undefined) throw new Error('nobody is left');
      expect((await servedBy(other)) - (before[left] ?? 0)).toBeGreaterThan(0);
      expect(killedAt).toBeLessThan((MADE_MIB * 2 ** 20) / 2);
      expect(bytes).toBe(MADE_MIB * 2 ** 20);
      expect(`sha256:${hash.digest('hex')}`).toBe(run.outputs()['make/large']);
    },
    10 * MINUTES,
  );
});
