import { createHash, randomBytes } from 'node:crypto';
import {
  artifactId,
  CHUNK_BYTES,
  type ChunkPlace,
  type ChunkSource,
  peerId,
  RELAY_PART_BYTES,
  RELAY_PARTS_MAX,
} from '@podmesh/core';
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest';
import type { MeshConnection } from './mesh-connection.ts';
import { pause } from './pause.ts';
import { RelayConnection } from './relay-connection.ts';
import { encodeRelayQuestion } from './relay-message.ts';
import { RelaySource } from './relay-source.ts';
import { type RelayOptions, RelayTransport } from './relay-transport.ts';
import { digest } from './samples.test-kit.ts';
import { inboxSubject, RUN_SUBJECTS, relaySubject } from './subjects.ts';
import { TcpProxy } from './tcp-proxy.test-kit.ts';
import { TestServer } from './test-server.test-kit.ts';

const PEER = peerId('source');
const PARTS = CHUNK_BYTES / RELAY_PART_BYTES;
let server: TestServer;
let proxy: TcpProxy;
let near: MeshConnection;
let far: MeshConnection;
let stop: AbortController;

beforeEach(async () => {
  server = await TestServer.start();
  proxy = await TcpProxy.start(server.port);
  near = await server.connect('near');
  far = await server.connect('far');
  stop = new AbortController();
});

afterEach(async () => {
  stop.abort();
  await near.close();
  await far.close();
  proxy.cut();
  await server.remove();
});

/** A store with one artifact of one chunk, that counts what is read of it. */
function oneChunk(bytes = randomBytes(CHUNK_BYTES)) {
  const hex = createHash('sha256').update(bytes).digest('hex');
  const place: ChunkPlace = {
    artifact: artifactId(`sha256:${hex}`),
    index: 0,
    offset: 0,
    bytes: bytes.length,
  };
  const source: ChunkSource & { reads: number } = {
    reads: 0,
    chunkList: async () => ({ bytes: bytes.length, digests: [hex] }),
    read: async ({ artifact }) => {
      source.reads += 1;
      return artifact === place.artifact ? bytes : undefined;
    },
  };
  return { bytes, place, source };
}

function gated(): { readonly opened: Promise<void>; open(): void } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open: () => open() };
}

async function serve(source: ChunkSource, options: RelayOptions = {}): Promise<RelayConnection> {
  const relay = new RelayConnection(() => far.address);
  onTestFinished(() => relay.stop());
  void new RelaySource(far, relay, options).serve(PEER, source, stop.signal);
  await far.nc.flush();
  return relay;
}

/** The relay of a peer whose own line is the proxy. */
function fetching(options: RelayOptions = {}): RelayTransport {
  const address = { ...near.address, servers: [`127.0.0.1:${proxy.port}`] };
  const relay = new RelayConnection(() => address);
  onTestFinished(() => relay.stop());
  return new RelayTransport(relay, options);
}

test('a chunk is read once, whatever the number of its parts', async () => {
  const { bytes, place, source } = oneChunk();
  await serve(source);
  const into = new Uint8Array(CHUNK_BYTES);
  expect(await fetching().fetch(PEER, place, into, stop.signal)).toEqual({
    ok: true,
    value: undefined,
  });
  expect(bytes.equals(into)).toBe(true);
  expect(source.reads).toBe(1);
});

test('a slow reader has a window on its way and no more, and holds up no control message', async () => {
  const { bytes, place, source } = oneChunk();
  await serve(source);
  // The server sends to this one too, before it reads what the reader asks for next.
  const spy = await server.connect('spy');
  onTestFinished(() => spy.close());
  let asked = 0;
  let answered = 0;
  let onTheirWay = 0;
  spy.nc.subscribe(relaySubject(PEER), {
    callback: () => {
      asked += 1;
      onTheirWay = Math.max(onTheirWay, asked - answered);
    },
  });
  spy.nc.subscribe('pm.answer.>', {
    callback: (_, { data }) => {
      if (data.length === RELAY_PART_BYTES) answered += 1;
    },
  });
  await spy.nc.flush();
  const clogged = proxy.clogAfter(CHUNK_BYTES / 4);
  const into = new Uint8Array(CHUNK_BYTES);
  const got = fetching().fetch(PEER, place, into, stop.signal);
  await clogged;
  for (let at = 0; at < 200; at++) {
    await near.nc.flush();
    await far.nc.flush();
    await spy.nc.flush();
  }
  // What had come when the line was clogged, and a window.
  expect(asked).toBeLessThanOrEqual(PARTS / 4 + 1 + RELAY_PARTS_MAX);
  proxy.unclog();
  expect((await got).ok).toBe(true);
  await spy.nc.flush();
  expect(bytes.equals(into)).toBe(true);
  expect([asked, answered]).toEqual([PARTS, PARTS]);
  expect(onTheirWay).toBeLessThanOrEqual(RELAY_PARTS_MAX);
});

test('chunks of one artifact share one window', async () => {
  const { bytes, place, source } = oneChunk();
  const gate = gated();
  await serve({
    chunkList: source.chunkList,
    read: async (chunk) => {
      await gate.opened;
      return chunk.artifact === place.artifact ? bytes : undefined;
    },
  });
  let asked = 0;
  far.nc.subscribe(relaySubject(PEER), {
    callback: () => {
      asked += 1;
    },
  });
  const transport = fetching();
  const all = [0, 1, 2, 3].map((index) =>
    transport.fetch(
      PEER,
      { ...place, index, offset: index * CHUNK_BYTES },
      new Uint8Array(CHUNK_BYTES),
      stop.signal,
    ),
  );
  while (asked < RELAY_PARTS_MAX) await far.nc.flush();
  for (let at = 0; at < 50; at++) await far.nc.flush();
  expect(asked).toBe(RELAY_PARTS_MAX);
  gate.open();
  expect((await Promise.all(all)).every(({ ok }) => ok)).toBe(true);
});

test('a line that breaks in the middle of a chunk is a refusal, and it goes on afterwards', async () => {
  const { bytes, place, source } = oneChunk();
  await serve(source);
  const transport = fetching();
  expect((await transport.chunkList(PEER, place.artifact, stop.signal)).ok).toBe(true);
  proxy.breakAfter(CHUNK_BYTES / 2);
  const into = new Uint8Array(CHUNK_BYTES);
  expect(await transport.fetch(PEER, place, into, stop.signal)).toMatchObject({
    ok: false,
    error: { kind: 'unreachable' },
  });
  expect((await transport.fetch(PEER, place, into, stop.signal)).ok).toBe(true);
  expect(bytes.equals(into)).toBe(true);
});

test('a server that restarts is a refusal, and it goes on afterwards', async () => {
  const { bytes, place, source } = oneChunk();
  await serve(source);
  const transport = fetching();
  const into = new Uint8Array(CHUNK_BYTES);
  expect((await transport.fetch(PEER, place, into, stop.signal)).ok).toBe(true);
  await server.kill();
  into.fill(0);
  expect(await transport.fetch(PEER, place, into, stop.signal)).toMatchObject({
    ok: false,
    error: { kind: 'unreachable' },
  });
  await server.run();
  await far.untilConnected(20_000);
  // The relay's own lines come back when they do.
  for (;;) {
    const { ok } = await transport.fetch(PEER, place, into, stop.signal);
    if (ok) break;
    await pause(100);
  }
  expect(bytes.equals(into)).toBe(true);
});

test('a source that serves as many as it can says so, and serves them all in the end', async () => {
  const { bytes, place, source } = oneChunk();
  const gate = gated();
  await serve({
    chunkList: source.chunkList,
    read: async () => {
      await gate.opened;
      return bytes;
    },
  });
  const transport = fetching();
  const fetchAs = (at: number) => {
    const into = new Uint8Array(CHUNK_BYTES);
    return transport.fetch(PEER, { ...place, artifact: digest(at) }, into, stop.signal);
  };
  const first = Array.from({ length: 8 }, (_, at) => fetchAs(at));
  const busy = await Promise.race(first);
  expect(busy).toMatchObject({ ok: false, error: { kind: 'busy' } });
  gate.open();
  const outcomes = await Promise.all(first);
  const refusals = outcomes.flatMap((one) => (one.ok ? [] : [one.error.kind]));
  expect(refusals.every((kind) => kind === 'busy')).toBe(true);
  expect(refusals.length).toBeLessThan(first.length);
  expect((await fetchAs(9)).ok).toBe(true);
});

test('a disk that hangs keeps no place that others could be served in', async () => {
  const { bytes, place, source } = oneChunk();
  const never = new Promise<undefined>(() => undefined);
  const limits = { partMs: 300, stallMs: 1_000 };
  await serve(
    {
      chunkList: source.chunkList,
      read: async ({ artifact }) => (artifact === place.artifact ? bytes : never),
    },
    limits,
  );
  const transport = fetching(limits);
  const into = new Uint8Array(CHUNK_BYTES);
  const stuck = await transport.fetch(PEER, { ...place, artifact: digest(1) }, into, stop.signal);
  expect(stuck).toMatchObject({ ok: false, error: { kind: 'stalled' } });
  for (;;) {
    const { ok } = await transport.fetch(PEER, place, into, stop.signal);
    if (ok) break;
  }
  expect(bytes.equals(into)).toBe(true);
});

test('an answer that breaks, whatever the reason, keeps no place that others could be served in', async () => {
  const { bytes, place, source } = oneChunk();
  const limits = { partMs: 300, stallMs: 1_000 };
  const relay = await serve(source, limits);
  const use = relay.use.bind(relay);
  relay.use = () => Promise.reject(new TypeError('nobody thought of this'));
  const transport = fetching(limits);
  const into = new Uint8Array(CHUNK_BYTES);
  const unanswered = await transport.fetch(PEER, place, into, stop.signal);
  expect(unanswered).toMatchObject({ ok: false, error: { kind: 'stalled' } });
  relay.use = use;
  expect((await transport.fetch(PEER, place, into, stop.signal)).ok).toBe(true);
  expect(bytes.equals(into)).toBe(true);
});

test('garbage is dropped, by the source and by who fetches', async () => {
  const { place, source } = oneChunk();
  await serve(source);
  const runs: string[] = [];
  near.nc.subscribe(RUN_SUBJECTS, { callback: (_, { subject }) => void runs.push(subject) });
  const question = encodeRelayQuestion({ kind: 'chunk', chunk: place, part: 0 });
  for (const junk of ['', 'x', 'x'.repeat(44), 'x'.repeat(100_000)])
    near.nc.publish(relaySubject(PEER), junk, { reply: inboxSubject(undefined, 'rogue', 1) });
  near.nc.publish(relaySubject(PEER), question);
  near.nc.publish(relaySubject(PEER), question, { reply: 'pm.run.run000000001.end' });
  await near.nc.flush();
  const into = new Uint8Array(CHUNK_BYTES);
  expect((await fetching().fetch(PEER, place, into, stop.signal)).ok).toBe(true);
  expect(runs).toEqual([]);
  const liar = peerId('liar');
  near.nc.subscribe(relaySubject(liar), {
    callback: (_, { reply }) => near.nc.publish(reply ?? 'nowhere', 'anything'),
  });
  await near.nc.flush();
  const refused = { ok: false, error: { kind: 'refused' } };
  const listed = await fetching().chunkList(liar, place.artifact, stop.signal);
  expect(listed).toMatchObject(refused);
  expect(await fetching().fetch(liar, place, into, stop.signal)).toMatchObject(refused);
});

test('the connection is made when it is needed, and closed when it is not needed any more', async () => {
  const relay = new RelayConnection(() => near.address, { idleMs: 30 });
  expect(relay.isOpen).toBe(false);
  const names = await Promise.all(
    [1, 2, 3].map(() => relay.use(stop.signal, async (connection) => connection)),
  );
  expect(new Set(names).size).toBe(1);
  expect(names[0]).not.toBe(near);
  while (names[0]?.isClosed === false) await pause(10);
  expect(relay.isOpen).toBe(false);
  const again = await relay.use(stop.signal, async (connection) => connection);
  expect(again.isClosed).toBe(false);
  await relay.stop();
  await relay.stop();
  expect(again.isClosed).toBe(true);
  await expect(relay.use(stop.signal, async () => undefined)).rejects.toThrow('stopped');
});
