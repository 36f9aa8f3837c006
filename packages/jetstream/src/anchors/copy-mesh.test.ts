import { createHash } from 'node:crypto';
import { artifactId } from '@podmesh/core';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { MeshConnection } from '../mesh-connection.ts';
import { openMesh } from '../open-mesh.ts';
import { freshRun, lane, offer, published, started, task } from '../samples.test-kit.ts';
import { IMAGE_STREAM, LOG_STREAM, laneConsumer, OFFER_STREAM, RUN_STREAM } from '../subjects.ts';
import { AnchorBook } from './anchor-book.ts';
import { copyMesh } from './copy-mesh.ts';
import { ServerGroup } from './server-group.test-kit.ts';

const MINUTE = 60_000;
const LEASE_MS = 60_000;
const TASKS = 40;
const CLAIMED = 7;
const never = new AbortController().signal;
let group: ServerGroup;

beforeEach(async () => {
  group = await ServerGroup.create();
});
afterEach(() => group.stop());

async function alone(name = 'alone'): Promise<MeshConnection> {
  const server = await group.add(name);
  await group.configure(server);
  await server.start();
  return group.connect(server);
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function sequences(mesh: MeshConnection): Promise<readonly string[]> {
  const found: string[] = [];
  for (const stream of [RUN_STREAM, OFFER_STREAM, IMAGE_STREAM]) {
    const { state } = await mesh.jsm.streams.info(stream, { subjects_filter: '>' });
    found.push(`${stream} up to ${state.last_seq}: ${state.messages}`);
    for (const subject of Object.keys(state.subjects ?? {}).sort()) {
      const last = await mesh.jsm.streams.getMessage(stream, { last_by_subj: subject });
      found.push(`${subject} ${last?.seq} ${last?.string()} ${last?.time.toISOString()}`);
    }
  }
  return found;
}

test(
  'keeps facts, revisions and claims from one server to three',
  async () => {
    const old = await alone();
    await old.ensureStreams({ replicas: 1, peerTtlMs: MINUTE });
    const before = openMesh(old, { leaseMs: LEASE_MS });
    const run = freshRun();
    await before.runLog.append(published(run), 0);
    const first = await before.runLog.append(started(run, task(0), 'a'), 0);
    await before.offers.publish(
      Array.from({ length: TASKS }, (_, number) => offer(run, task(number), lane(1))),
    );
    const tickets = [];
    for await (const claimed of before.offers.pull(lane(1), CLAIMED, 10_000, never))
      tickets.push(claimed.ticket);
    const bytes = new Uint8Array(3_000_000).fill(7);
    const artifact = artifactId(`sha256:${createHash('sha256').update(bytes).digest('hex')}`);
    await before.artifacts.put(
      { digest: artifact, kind: 'file', bytes: bytes.length },
      once(bytes),
    );
    await before.imageTags.set('me/tool', '1', { manifest: artifact } as never);
    await before.imageTags.set('me/tool', '1', { manifest: artifact } as never);

    const three = await group.connect(...(await group.cluster('one', 'two', 'three')));
    const copied = await copyMesh({ from: old, to: three, replicas: 3 });
    expect(copied.length).toBeGreaterThan(9);
    expect(await sequences(three)).toEqual(await sequences(old));
    const replicas = await Promise.all(
      copied.map(async ({ stream }) => (await three.jsm.streams.info(stream)).config.num_replicas),
    );
    const single = copied.filter((_, at) => replicas[at] === 1).map(({ stream }) => stream);
    expect(single).toEqual([LOG_STREAM]);

    const after = openMesh(three, { leaseMs: LEASE_MS });
    const held = await three.jsm.consumers.info(OFFER_STREAM, laneConsumer(lane(1)));
    expect(held.num_ack_pending).toBe(CLAIMED);
    // Claims of before are extended and settled by the tickets of before.
    const extended = await three.nc.request(tickets[0] ?? '', '+WPI', { timeout: 5_000 });
    expect(extended.data).toHaveLength(0);
    await three.nc.request(tickets[0] ?? '', '+ACK', { timeout: 5_000 });
    // Confirmed, and then taken out of the stream.
    while ((await after.offers.waiting(run)).size > TASKS - 1);
    expect((await after.offers.waiting(run)).size).toBe(TASKS - 1);
    const rest = [];
    for await (const { value } of after.offers.pull(lane(1), TASKS, 2_000, never))
      rest.push(value.task);
    expect(rest).toHaveLength(TASKS - CLAIMED);
    // The fence of before holds: who saw less is refused.
    expect((await after.runLog.append(started(run, task(0), 'b'), 0)).ok).toBe(false);
    expect(first.ok).toBe(true);
    const read = [];
    for await (const piece of after.artifacts.get(artifact)) read.push(piece);
    expect(Buffer.concat(read).equals(Buffer.from(bytes))).toBe(true);
    await three.ensureStreams({ replicas: 3, peerTtlMs: MINUTE });
  },
  3 * MINUTE,
);

test(
  'begins again over what a copy left behind that ended in the middle',
  async () => {
    const old = await alone();
    await old.ensureStreams({ replicas: 1, peerTtlMs: MINUTE });
    const run = freshRun();
    await openMesh(old).runLog.append(published(run), 0);
    const other = await alone('other');
    // Another history at the same place, and a stream that nobody has.
    await other.ensureStreams({ replicas: 1, peerTtlMs: MINUTE });
    await openMesh(other).runLog.append(published(freshRun()), 0);
    await other.jsm.streams.add({ name: 'left', subjects: ['left'] });
    await copyMesh({ from: old, to: other, replicas: 1 });
    expect(await sequences(other)).toEqual(await sequences(old));
    await expect(other.jsm.streams.info('left')).rejects.toThrow('not found');
  },
  MINUTE,
);

test('keeps one record of anchors, which only counts up', async () => {
  const mesh = await alone();
  await mesh.ensureStreams({ replicas: 1 });
  const [book, other] = [new AnchorBook(mesh), new AnchorBook(mesh)];
  expect(await book.read()).toBeUndefined();
  const anchor = { peer: 'ann', server: 'one', client: '127.0.0.1:4222' } as never;
  const second = { generation: 2, anchors: [anchor] };
  expect(await book.write(second)).toEqual(second);
  expect(await other.write({ generation: 1, anchors: [anchor] })).toEqual(second);
  expect(await other.write({ ...second, cluster: 'late' })).toEqual(second);
  const third = { generation: 3, cluster: 'c', anchors: [anchor] };
  expect(await other.write(third)).toEqual(third);
  expect(await book.read()).toEqual(third);
});
