import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { MeshFolder, memberAddress } from '@podmesh/authority';
import {
  AnchorBook,
  dialMesh,
  type MeshAddress,
  MeshRefusedError,
  openMesh,
} from '@podmesh/jetstream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { busyboxGraph, shell } from '../../process-kit/busybox-graph.ts';
import { PublishedRun } from '../../process-kit/published-run.ts';
import { untilDone, untilSeen } from '../../process-kit/within.ts';
import { YoungMesh } from '../../process-kit/young-mesh.ts';

const MINUTES = 60_000;
const LOOK_MS = 500;
const ROLES = ['anchor', 'system'] as const;

describe('an anchor that is retired', () => {
  let young: YoungMesh;

  beforeEach(() => {
    young = new YoungMesh();
  });
  afterEach(() => young.ending.end(), 10 * MINUTES);

  /** Until it goes well: leaders may be elected meanwhile. */
  async function typed(...words: readonly string[]): Promise<void> {
    let said = '';
    const isDone = async () => {
      const { code, err } = await young.type(young.ann, 'anchors', ...words);
      said = err;
      return code === 0;
    };
    await untilSeen(4 * MINUTES, () => `anchors ${words.join(' ')}; ${said}`, isDone, LOOK_MS);
  }

  it(
    'has the papers of a peer: what it had as an anchor is refused by every server, and it works on',
    async () => {
      await young.start();
      const [ann, bob, cid] = young.peers;
      if (ann === undefined || bob === undefined || cid === undefined) throw new Error('nobody');
      // Before leaders are elected, which nobody is let in by meanwhile.
      const dan = await young.add('dan');
      await typed('set', ann.name, bob.name, cid.name);
      const connection = await young.connect();
      const mesh = openMesh(connection);
      young.ending.defer(() => mesh.stop());
      // From its next start a peer that became an anchor is connected as one.
      await bob.kill();
      await bob.start();
      const folder = new MeshFolder(join(bob.options.home, 'mesh'));
      const copies: MeshAddress[] = [];
      for (const role of ROLES) copies.push(await memberAddress(folder, [role]));
      const lets = async (address: MeshAddress, server: string): Promise<boolean> => {
        try {
          const own = await dialMesh({ ...address, servers: [server] }, 'a copy');
          await own.close();
          return true;
        } catch (error) {
          if (error instanceof MeshRefusedError) return false;
          throw error;
        }
      };
      const servers = async (): Promise<readonly string[]> => {
        const read = () => new AnchorBook(connection).read();
        const record = await untilDone(4 * MINUTES, () => 'the record of anchors', read);
        return record?.anchors.map(({ client }) => client) ?? [];
      };
      // One that cannot be reached has said neither.
      const says = (copy: MeshAddress, server: string) =>
        untilDone(
          4 * MINUTES,
          () => `${server} to say a word`,
          () => lets(copy, server),
        );
      for (const copy of copies)
        for (const server of await servers()) expect(await says(copy, server)).toBe(true);

      await typed('replace', bob.name, dan.name);
      const now = await servers();
      expect(now).toHaveLength(3);
      const letIn = async () => {
        const all = copies.flatMap((copy) => now.map((server) => lets(copy, server)));
        return (await Promise.all(all)).filter((isLetIn) => isLetIn).length;
      };
      await untilSeen(
        4 * MINUTES,
        () => 'every server to refuse them',
        async () => (await letIn()) === 0,
      );
      const files = await readdir(folder.path);
      expect(files).toContain('peer.creds');
      for (const name of ['anchor.creds', 'system.creds', 'server.pem', 'server-key.pem'])
        expect(files).not.toContain(name);

      // It was cut off, came back as the peer that it is, and does work that nobody else may do now.
      for (const other of [ann, cid, dan]) await young.well(other, 'drain');
      const run = await PublishedRun.publish(
        mesh,
        busyboxGraph([{ id: 'work', command: shell('true') }]),
        () => bob.said.slice(-3_000),
      );
      young.ending.defer(() => run.stop());
      expect((await run.untilEnd()).state, run.told()).toBe('succeeded');
      expect(run.of('attempt-started').map(({ event }) => event.peer)).toEqual([bob.name]);
      expect(bob.pid).toBeDefined();

      // With papers of its own it is an anchor again.
      for (const other of [ann, cid, dan]) await young.well(other, 'undrain');
      await typed('replace', dan.name, bob.name);
      for (const role of ROLES) {
        const again = await memberAddress(folder, [role]);
        for (const server of await servers()) expect(await says(again, server)).toBe(true);
      }
    },
    15 * MINUTES,
  );
});
