import { randomBytes } from 'node:crypto';
import {
  type ArtifactId,
  type ArtifactRef,
  ObjectStoreFullError,
  type Reference,
  type RunEvent,
} from '@podmesh/core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { artifactIdOf } from './digest-stream.ts';
import type { MeshConnection } from './mesh-connection.ts';
import { type Mesh, openMesh } from './open-mesh.ts';
import {
  action,
  digest,
  freshRun,
  offer,
  published,
  result,
  started,
  task,
} from './samples.test-kit.ts';
import { ARTIFACT_STREAM, artifactChunkSubject } from './subjects.ts';
import { TestServer } from './test-server.test-kit.ts';

const never = new AbortController().signal;

let server: TestServer;
let connection: MeshConnection;
let mesh: Mesh;

beforeAll(async () => {
  server = await TestServer.start();
  connection = await server.connect();
  await connection.ensureStreams({ replicas: 1 });
  mesh = openMesh(connection);
});

afterAll(async () => {
  await mesh?.stop();
  await connection?.close();
  await server?.remove();
});

const refOf = (bytes: Uint8Array): ArtifactRef => ({
  digest: artifactIdOf(bytes),
  kind: 'file',
  bytes: bytes.length,
});

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

const streamState = async () => (await connection.jsm.streams.info(ARTIFACT_STREAM)).state;

async function announce(condemned: readonly number[] = []): Promise<number> {
  const { lastSequence, note } = await mesh.shelf.look();
  const value = { horizon: lastSequence, condemned, kept: 0, removed: 0 };
  await mesh.shelf.announce(value, note?.sequence ?? 0);
  return lastSequence;
}

test('bytes without an entry go when the newest of them is old enough, and no others', async () => {
  const whole = randomBytes(1_500_000);
  await mesh.artifacts.put(refOf(whole), once(whole));
  for (const nuid of ['dead', 'slow'])
    await connection.js.publish(artifactChunkSubject(nuid), new Uint8Array(10));
  const { lastSequence } = await mesh.shelf.look();
  await connection.js.publish(artifactChunkSubject('slow'), new Uint8Array(10));
  await connection.js.publish(artifactChunkSubject('new'), new Uint8Array(10));
  const before = await streamState();
  expect(await mesh.shelf.removeUnfinished(lastSequence, never)).toBe(1);
  expect((await streamState()).messages).toBe(before.messages - 1);
  expect(await mesh.shelf.removeUnfinished(lastSequence, never)).toBe(0);
  const read: Uint8Array[] = [];
  for await (const piece of mesh.artifacts.get(refOf(whole).digest)) read.push(piece);
  expect(Buffer.concat(read).equals(whole)).toBe(true);
});

test('an announcement and what it condemns outlive the removal of what nobody ended', async () => {
  const first = await announce([7]);
  await announce([8, 9]);
  const { lastSequence } = await mesh.shelf.look();
  expect(await mesh.shelf.removeUnfinished(lastSequence, never)).toBeGreaterThan(0);
  expect(first).toBeLessThan(lastSequence);
  expect((await mesh.shelf.look()).note?.value.condemned).toEqual([8, 9]);
});

test('what was removed gives its room back with the next look for such bytes', async () => {
  const bytes = randomBytes(900_000);
  const before = (await streamState()).bytes;
  await mesh.artifacts.put(refOf(bytes), once(bytes));
  for await (const batch of mesh.shelf.list(never))
    for (const entry of batch)
      if (entry.artifact === refOf(bytes).digest) await mesh.shelf.remove(entry);
  await mesh.shelf.removeUnfinished((await streamState()).last_seq, never);
  expect((await streamState()).bytes).toBeLessThanOrEqual(before);
});

test('an upload whose first bytes were swept while it stood still is refused, and can be repeated', async () => {
  const bytes = randomBytes(1_200_000);
  async function* slowly(): AsyncGenerator<Uint8Array> {
    yield bytes.subarray(0, 1_100_000);
    await mesh.shelf.removeUnfinished((await streamState()).last_seq, never);
    yield bytes.subarray(1_100_000);
  }
  await expect(mesh.artifacts.put(refOf(bytes), slowly())).rejects.toThrow('took too long');
  expect((await mesh.artifacts.stat([refOf(bytes).digest])).size).toBe(0);
  await mesh.artifacts.put(refOf(bytes), once(bytes));
  expect((await mesh.artifacts.stat([refOf(bytes).digest])).size).toBe(1);
});

test('of two who keep and one who removes, nobody is told that something is there which is not', async () => {
  for (let round = 0; round < 30; round += 1) {
    const bytes = Buffer.from(`round ${round}`);
    const ref = refOf(bytes);
    await mesh.artifacts.put(ref, once(bytes));
    await announce();
    const entries = [];
    for await (const batch of mesh.shelf.list(never)) entries.push(...batch);
    const entry = entries.find(({ artifact }) => artifact === ref.digest);
    if (entry === undefined) throw new Error('it is not listed');
    await Promise.all([
      mesh.artifacts.put(ref, once(bytes)),
      mesh.shelf.remove(entry),
      mesh.artifacts.put(ref, once(bytes)),
    ]);
    const read: Uint8Array[] = [];
    for await (const piece of mesh.artifacts.get(ref.digest)) read.push(piece);
    expect(Buffer.concat(read).toString()).toBe(`round ${round}`);
  }
});

test('everything that refers to artifacts is read', async () => {
  const run = freshRun();
  const named = (number: number): ArtifactId => digest(100 + number);
  const inline: RunEvent = {
    ...(published(run) as Extract<RunEvent, { kind: 'run-published' }>),
    graph: { kind: 'inline', graph: { note: named(1) } as never },
  };
  await mesh.runLog.append(published(freshRun()), 0);
  await mesh.runLog.append(inline, 0);
  await mesh.runLog.append(
    {
      kind: 'job-expanded',
      run,
      task: task(1),
      source: named(2),
      count: 1,
      elements: { kind: 'artifacts', artifacts: [{ digest: named(3), kind: 'file', bytes: 1 }] },
    },
    0,
  );
  const outputs = { o: { digest: named(4), kind: 'dir' as const, bytes: 1 } };
  await mesh.results.record(action(1), { ...result, outputs });
  const lane = offer(run, task(2), '0123456789abcdef' as never);
  await mesh.lanes.open(lane.lane, lane.requirements);
  await mesh.offers.publish([{ ...lane, env: { X: named(5) } }]);
  const manifest = { digest: named(6), mediaType: 'a/b', bytes: 1 };
  await mesh.imageManifests.put('me/tool', manifest);
  await mesh.imageManifests.put('me/gone', { ...manifest, digest: named(7) });
  await mesh.imageManifests.remove('me/gone', named(7));
  await mesh.runLog.append(started(run, task(3), 'claim'), 0);
  const found = new Map<ArtifactId, Reference['holds']>();
  for await (const batch of mesh.references.read(never))
    for (const { artifact, holds } of batch)
      found.set(artifact, holds || found.get(artifact) === true);
  const holds = [1, 2, 3, 4, 5, 6, 7].map((number) => found.get(named(number)));
  expect(holds).toEqual([false, true, true, true, false, true, undefined]);
  expect(found.get(digest(1))).toBe(true);
});

test('finished runs lose their log and then their end; results go by their record', async () => {
  const [run, open] = [freshRun(), freshRun()];
  for (const one of [run, open]) {
    await mesh.runLog.append(published(one, 'n'), 0);
    await mesh.runLog.append(started(one, task(1), `claim-${one}`), 0);
  }
  const counts = { succeeded: 1, cached: 0, failed: 0, skipped: 0, cancelled: 0 };
  await mesh.runLog.append(
    { kind: 'run-ended', run, state: 'succeeded', counts, record: digest(9) },
    0,
  );
  const { retention, runLog } = mesh;
  const seen = (await retention.finishedRuns()).filter(
    (one) => one.run === run || one.run === open,
  );
  expect(seen).toMatchObject([{ run, hasLog: true }]);
  const nowMs = await retention.nowMs();
  expect(Math.abs(nowMs - (seen[0]?.endedAtMs ?? 0))).toBeLessThan(600_000);
  await retention.purgeLog(run);
  await retention.purgeLog(run);
  const left = async (of: typeof run) => {
    const kinds: string[] = [];
    for await (const batch of runLog.read(of)) kinds.push(...batch.map(({ event }) => event.kind));
    return kinds;
  };
  expect(await left(run)).toEqual(['run-ended']);
  expect(await left(open)).toHaveLength(2);
  expect(await runLog.isOver(run)).toBe(true);
  expect((await retention.finishedRuns()).find((one) => one.run === run)?.hasLog).toBe(false);
  await retention.forgetRun(run);
  expect(await left(run)).toEqual([]);

  await mesh.results.record(action(77), result);
  const records = [];
  for await (const batch of retention.results(never)) records.push(...batch);
  const record = records.find(({ action: of }) => of === action(77));
  if (record === undefined) throw new Error('it is not listed');
  await mesh.results.record(action(77), result);
  await retention.forgetResult(record);
  expect((await mesh.results.lookUp([action(77)])).size).toBe(1);
});

test('a full store refuses what is large, with what there is, and takes what runs need', async () => {
  const small = await TestServer.start();
  const other = await small.connect();
  await other.ensureStreams({ replicas: 1 });
  const { config } = await other.jsm.streams.info(ARTIFACT_STREAM);
  expect(config.max_bytes).toBeGreaterThanOrEqual(1024 ** 3);
  await other.jsm.streams.update(ARTIFACT_STREAM, { ...config, max_bytes: 4_000_000 });
  const { artifacts } = openMesh(other);
  const put = (bytes: Uint8Array) => artifacts.put(refOf(bytes), once(bytes));
  await put(randomBytes(3_000_000));
  await expect(put(randomBytes(900_000))).rejects.toThrow(ObjectStoreFullError);
  await expect(put(randomBytes(900_000))).rejects.toThrow(/of 4000000 bytes are taken/);
  await put(randomBytes(200_000));
  // What can be had elsewhere, too, stays out of the last twentieth.
  const spare = async () => {
    for (;;) {
      const bytes = randomBytes(20_000);
      await artifacts.put(refOf(bytes), once(bytes), 'spare');
    }
  };
  await expect(spare()).rejects.toThrow(ObjectStoreFullError);
  await put(randomBytes(20_000));
  const { state } = await other.jsm.streams.info(ARTIFACT_STREAM);
  expect(state.bytes).toBeLessThan(4_000_000 * 0.97);
  // The rest is refused by the server itself, in the same words.
  const fill = async () => {
    for (;;) await put(randomBytes(200_000));
  };
  await expect(fill()).rejects.toThrow(ObjectStoreFullError);
  await other.close();
  await small.remove();
});
