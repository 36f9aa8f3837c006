import type { AnchorRecord, PeerId } from '@podmesh/core';
import { expect, test } from 'vitest';
import { openMesh } from '../open-mesh.ts';
import { freshRun, lane, offer, published, task } from '../samples.test-kit.ts';
import { TestServer } from '../test-server.test-kit.ts';
import { AnchorBook } from './anchor-book.ts';
import { followAnchors } from './follow-anchors.ts';
import { type TestServer as GroupServer, ServerGroup } from './server-group.test-kit.ts';

const MINUTES = 60_000;

type Place = Pick<GroupServer, 'name' | 'port' | 'route'>;

const recordOf = (generation: number, servers: readonly Place[]): AnchorRecord => ({
  generation,
  cluster: 'test',
  anchors: servers.map(({ name, port, route }) => ({
    peer: name as PeerId,
    server: name,
    client: `127.0.0.1:${port}`,
    route: `127.0.0.1:${route}`,
  })),
});

test(
  'a connection, and the thread that keeps its claims, move to servers they were told of',
  async () => {
    const group = await ServerGroup.create();
    const following = new AbortController();
    try {
      const servers = await group.cluster('one', 'two', 'three');
      const [one] = servers;
      if (one === undefined) throw new Error('no server');
      const mesh = await group.connect(one);
      await mesh.untilPlaces(3);
      await mesh.ensureStreams({ replicas: 3 });
      const book = new AnchorBook(mesh);
      await book.write(recordOf(2, servers));
      const heard: number[] = [];
      let wake = (): void => undefined;
      const told = new Promise<void>((resolve) => {
        wake = resolve;
      });
      const hear = ({ generation }: AnchorRecord): void => {
        heard.push(generation);
        wake();
      };
      void followAnchors(mesh, hear, following.signal);
      await told;
      expect(heard).toEqual([2]);
      expect(mesh.address.servers).toHaveLength(3);

      const ports = openMesh(mesh, { leaseMs: 60_000 });
      const run = freshRun();
      await ports.offers.publish([offer(run, task(0), lane(1))]);
      let lost = false;
      for await (const { ticket } of ports.offers.pull(lane(1), 1, 10_000, following.signal))
        ports.leases.keep(ticket, () => {
          lost = true;
        });
      await one.end('SIGKILL');
      expect((await ports.runLog.append(published(run), 0)).ok).toBe(true);
      expect(lost).toBe(false);
      await ports.stop();
    } finally {
      following.abort();
      await group.stop();
    }
  },
  2 * MINUTES,
);

test('a record that could not be read at first is not waited for until the next look', async () => {
  const server = await TestServer.start();
  const following = new AbortController();
  try {
    const mesh = await server.connect('one');
    const reading = new Promise<AnchorRecord>((resolve) => {
      // Nobody made the streams yet: there is nothing to read from.
      void followAnchors(mesh, resolve, following.signal, 60 * MINUTES);
    });
    await mesh.ensureStreams({ replicas: 1 });
    await new AnchorBook(mesh).write(recordOf(7, [{ name: 'one', port: server.port, route: 1 }]));
    expect((await reading).generation).toBe(7);
    await mesh.close();
  } finally {
    following.abort();
    await server.remove();
  }
});
