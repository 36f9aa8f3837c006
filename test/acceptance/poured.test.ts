import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { SMALL_ARTIFACT_BYTES_MAX } from '@podmesh/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxGraph, shell } from '../process-kit/busybox-graph.ts';
import { CommandLine } from '../process-kit/command-line.ts';
import { placed } from '../process-kit/large-artifact.ts';
import { ProcessMesh } from '../process-kit/process-mesh.ts';

const MINUTES = 60_000;
const MADE_MIB = 192;
/** So much has come when a source is killed: more than one chunk, and far less than all. */
const BEFORE_BYTES = 16 * SMALL_ARTIFACT_BYTES_MAX;

describe('podmesh get -o -', () => {
  let cluster: ProcessMesh;

  beforeAll(async () => {
    cluster = await ProcessMesh.start();
    await Promise.all(
      ['ann', 'bob', 'eve'].map((name) =>
        cluster.addPeer(name, { words: placed(name), env: { PODMESH_PRETEND_HOST: name } }),
      ),
    );
  }, 8 * MINUTES);

  afterAll(() => cluster.stop(), 8 * MINUTES);

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
      const [ann] = holders.filter(({ name }) => name.startsWith('ann'));

      const user = new CommandLine(join(cluster.folder, 'nobody'), cluster.folder);
      const name = `${run.run}/make/large`;
      const poured = user.start('get', name, '-o', '-', '--nats', cluster.server.url);
      const closed = once(poured, 'close');
      const said: Buffer[] = [];
      poured.stderr.on('data', (piece: Buffer) => said.push(piece));
      const hash = createHash('sha256');
      let [bytes, killedAt] = [0, 0];
      for await (const piece of poured.stdout as AsyncIterable<Buffer>) {
        hash.update(piece);
        bytes += piece.length;
        if (killedAt > 0 || bytes < BEFORE_BYTES) continue;
        killedAt = bytes;
        // Nothing is read meanwhile: the rest of it is still to come.
        await ann?.kill();
      }
      const [code] = await closed;
      expect([code, Buffer.concat(said).toString()]).toEqual([0, '']);
      expect(killedAt).toBeLessThan((MADE_MIB * 2 ** 20) / 2);
      expect(bytes).toBe(MADE_MIB * 2 ** 20);
      expect(`sha256:${hash.digest('hex')}`).toBe(run.outputs()['make/large']);
    },
    10 * MINUTES,
  );
});
