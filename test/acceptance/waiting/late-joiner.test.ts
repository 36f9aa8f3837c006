import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MeshFolder, memberAddress } from '@podmesh/authority';
import { AnchorBook, ClusterAdmin, dialMesh, type MeshConnection } from '@podmesh/jetstream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DaemonProcess } from '../../process-kit/daemon-process.ts';
import { untilDone, untilSeen } from '../../process-kit/within.ts';
import { YoungMesh } from '../../process-kit/young-mesh.ts';

const MINUTES = 60_000;
const LOOK_MS = 500;

/** Takes the place of a nats-server that is there and says nothing; ends with the daemon that started it. */
const SILENT_SERVER = `#!/bin/sh
[ "$1" = --version ] && exec nats-server --version
while kill -0 $PPID 2>/dev/null; do sleep 1; done
`;

describe('a server that joins after its exchange was undone', () => {
  const young = new YoungMesh();
  let connection: MeshConnection;
  let dan: DaemonProcess;

  beforeAll(async () => {
    await young.start();
    const three = [...young.peers];
    const program = join(young.folder, 'nats-server');
    await writeFile(program, SILENT_SERVER, { mode: 0o755 });
    // Before leaders are elected, which nobody is let in by meanwhile.
    dan = await young.add('dan', { PODMESH_NATS_SERVER: program });
    let said = '';
    const isMoved = async () => {
      const { code, err } = await young.setAnchors(...three);
      said = err;
      return code === 0;
    };
    await untilSeen(3 * MINUTES, () => `three anchors; ${said}`, isMoved, LOOK_MS);
    connection = await young.connect();
  }, 12 * MINUTES);

  afterAll(() => young.ending.end(), 10 * MINUTES);

  /** Servers that vote, by the word of their leader; none while nobody can tell. */
  async function voters(): Promise<readonly string[]> {
    const folder = new MeshFolder(join(young.ann.options.home, 'mesh'));
    const system = await dialMesh(await memberAddress(folder, ['system']), 'acceptance');
    try {
      return (await new ClusterAdmin(system).members()).map(({ server }) => server);
    } catch {
      return [];
    } finally {
      await system.close();
    }
  }

  const countOf = (all: readonly string[], { name }: DaemonProcess): number =>
    all.filter((server) => server.startsWith(`${name}-g`)).length;

  it(
    'takes itself out of the cluster again, and may come another time',
    async () => {
      const cid = young.peers[2];
      if (cid === undefined) throw new Error('nobody');
      const replaced = young.type(young.ann, 'anchors', 'replace', cid.name, dan.name);
      const kindOf = async () => (await young.seatOf(dan).catch(() => ({ kind: '' }))).kind;
      const hasJoined = async () => (await kindOf()) === 'joining';
      await untilSeen(4 * MINUTES, () => `${dan.name} to join; ${dan.said}`, hasJoined);
      await dan.kill();
      const { code, err } = await replaced;
      expect(code, err).toBe(1);
      const read = () => new AnchorBook(connection).read();
      const record = await untilDone(4 * MINUTES, () => 'the record of anchors', read);
      const anchors = record?.anchors.map(({ peer }) => String(peer));
      expect(anchors?.sort()).toEqual([...young.names.slice(0, 3)].sort());
      expect(countOf(await voters(), dan)).toBe(0);

      // Back with a server that works, and with a seat that does not know how it ended.
      Object.assign(dan.options.env ?? {}, { PODMESH_NATS_SERVER: '' });
      await dan.start();
      const isVoter = async () => countOf(await voters(), dan) === 1;
      await untilSeen(4 * MINUTES, () => `${dan.name} to vote; ${dan.said}`, isVoter, LOOK_MS);
      let [all, kind]: [readonly string[], unknown] = [[], ''];
      const isOut = async () => {
        [all, kind] = [await voters(), await kindOf()];
        return all.length > 0 && countOf(all, dan) === 0 && kind === 'none';
      };
      const what = () => `${dan.name} to be out: ${all.join()} vote, its seat is ${kind}`;
      await untilSeen(5 * MINUTES, what, isOut, LOOK_MS);
      expect(all).toHaveLength(3);

      await young.well(young.ann, 'anchors', 'replace', cid.name, dan.name);
      expect(countOf(await voters(), dan)).toBe(1);
    },
    15 * MINUTES,
  );
});
