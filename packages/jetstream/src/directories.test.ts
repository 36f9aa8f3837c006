import { afterAll, beforeAll, expect, test } from 'vitest';
import { JetStreamLiveLog } from './jetstream-live-log.ts';
import { JetStreamPeerDirectory } from './jetstream-peer-directory.ts';
import { JetStreamResultCache } from './jetstream-result-cache.ts';
import { JetStreamSleepingPeers } from './jetstream-sleeping-peers.ts';
import type { MeshConnection } from './mesh-connection.ts';
import { pause } from './pause.ts';
import { action, entry, freshRun, result, task } from './samples.test-kit.ts';
import { bucketSubjects, PEER_BUCKET, PEER_STREAM, SLEEPER_BUCKET } from './subjects.ts';
import { TestServer } from './test-server.test-kit.ts';

const PEER_TTL_MS = 4_000;
let server: TestServer;
let mesh: MeshConnection;
let other: MeshConnection;

beforeAll(async () => {
  server = await TestServer.start();
  mesh = await server.connect('one');
  other = await server.connect('two');
  await mesh.ensureStreams({ replicas: 1, peerTtlMs: PEER_TTL_MS });
});

afterAll(async () => {
  await mesh?.close();
  await other?.close();
  await server?.remove();
});

test('a peer is there while it announces itself, and gone after its time', async () => {
  const [here, there] = [new JetStreamPeerDirectory(mesh), new JetStreamPeerDirectory(other)];
  expect(await here.list()).toEqual([]);
  await here.announce(entry('a'));
  await here.announce({ ...entry('a'), driving: 1 });
  await there.announce(entry('b'));
  expect((await there.list()).map(({ peer }) => peer).sort()).toEqual(['a', 'b']);
  expect((await there.find(entry('a').peer))?.driving).toBe(1);
  await there.withdraw(entry('b').peer);
  expect(await here.find(entry('b').peer)).toBeUndefined();
  expect(await here.list()).toHaveLength(1);
  while ((await here.find(entry('a').peer)) !== undefined)
    await mesh.jsm.streams.info(PEER_STREAM, { subjects_filter: bucketSubjects(PEER_BUCKET) });
  expect(await here.list()).toEqual([]);
});

test('notes of sleepers that cannot be read hide nobody', async () => {
  const sleepers = new JetStreamSleepingPeers(mesh);
  const { peer, capacity } = entry('a');
  const note = {
    peer,
    hostname: 'attic',
    since: '2026-11-22T01:00:00Z',
    offering: { capacity, arch: 'amd64', labels: [], runtimes: ['podman' as const] },
    links: [],
    quiet: [],
    timeZone: 'UTC',
  };
  await sleepers.note(note);
  const texts = { b: '{', c: 'null', d: JSON.stringify(note), 'd.a': JSON.stringify(note) };
  for (const [key, text] of Object.entries(texts))
    await mesh.js.publish(`$KV.${SLEEPER_BUCKET}.${key}`, text);
  const told: string[] = [];
  const reader = new JetStreamSleepingPeers(other, (name) => told.push(name));
  const read = async () => (await reader.list()).map(({ sleeper }) => sleeper);
  expect(await read()).toEqual([note]);
  expect(told.sort()).toEqual(Object.keys(texts));
  // Each of them once, and again when it is another one.
  expect(await read()).toEqual([note]);
  expect(told).toHaveLength(Object.keys(texts).length);
  await mesh.js.publish(`$KV.${SLEEPER_BUCKET}.b`, 'worse');
  await read();
  expect(told.slice(Object.keys(texts).length)).toEqual(['b']);
});

test('looks up ten thousand results in one go', async () => {
  const cache = new JetStreamResultCache(mesh);
  const actions = Array.from({ length: 10_000 }, (_, i) => action(i));
  const stored = actions.filter((_, i) => i % 4 === 0);
  await Promise.all(stored.map((one) => cache.record(one, result)));
  const began = performance.now();
  const found = await new JetStreamResultCache(other).lookUp(actions);
  console.log(`lookUp of 10,000 with 2,500 hits: ${Math.round(performance.now() - began)} ms`);
  expect([...found.keys()]).toEqual(stored);
  expect(found.get(action(4))).toEqual(result);
  await cache.forget(action(4));
  expect((await cache.lookUp([action(4), action(8)])).size).toBe(1);
  expect((await cache.lookUp([])).size).toBe(0);
});

test('follows live output from what is still there on, of a run or one task', async () => {
  const [log, run] = [new JetStreamLiveLog(mesh), freshRun()];
  const chunk = (of: number, text: string) => ({
    run,
    task: task(of),
    attempt: 1,
    bytes: Buffer.from(text),
  });
  log.write(chunk(0, 'a'));
  log.write(chunk(1, 'b'));
  await mesh.nc.flush();
  const read = async (of: number | undefined, count: number) => {
    const texts: string[] = [];
    const end = new AbortController();
    const only = of === undefined ? undefined : task(of);
    for await (const { bytes } of new JetStreamLiveLog(other).follow(run, only, end.signal)) {
      texts.push(Buffer.from(bytes).toString());
      if (texts.length === count) end.abort();
      else if (texts.length === count - 1) log.write(chunk(0, 'c'));
    }
    return texts;
  };
  expect(await read(1, 1)).toEqual(['b']);
  expect(await read(undefined, 3)).toEqual(['a', 'b', 'c']);
  log.write({ ...chunk(2, ''), bytes: Buffer.alloc(150_000, 'x') });
  await mesh.nc.flush();
  expect((await read(2, 3)).join('')).toHaveLength(150_000);
});

test('live output goes on after the server lost its memory', async () => {
  const [log, run] = [new JetStreamLiveLog(mesh), freshRun()];
  const chunk = (text: string) => ({ run, task: task(0), attempt: 1, bytes: Buffer.from(text) });
  const end = new AbortController();
  const texts: string[] = [];
  log.write(chunk('before'));
  for await (const { bytes } of new JetStreamLiveLog(other).follow(run, undefined, end.signal)) {
    texts.push(Buffer.from(bytes).toString());
    if (texts.length === 2) end.abort();
    else {
      const back = new Promise<void>((resolve) => {
        mesh.onStatus(({ kind }) => kind === 'connected' && resolve());
      });
      await server.kill();
      await server.run();
      // Not "is connected": it may not have noticed the loss yet.
      await back;
      // Best effort: a server that has just come up may drop a first chunk. What must go on is the flow.
      void (async () => {
        while (!end.signal.aborted) {
          log.write(chunk('after'));
          await pause(100, end.signal);
        }
      })();
    }
  }
  expect(texts).toEqual(['before', 'after']);
});
