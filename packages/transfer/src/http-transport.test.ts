import { setMaxListeners } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { type BulkAddress, CHUNK_BYTES, type ChunkSource, peerId } from '@podmesh/core';
import { describeChunkTransport } from '@podmesh/testkit/conformance';
import { describe, expect, it, onTestFinished } from 'vitest';
import { parseByteRange } from './byte-range.js';
import { EitherTransport } from './either-transport.ts';
import { isSameSecret } from './hello-proof.js';
import { Neighbours, sampleBytes, sourceOf } from './transfer.test-kit.ts';

const signal = new AbortController().signal;
setMaxListeners(0, signal);

describeChunkTransport('over HTTP', async () => {
  const mesh = new Neighbours();
  let names = 0;
  return {
    transport: mesh.transport(),
    serve: async (source: ChunkSource) => {
      names += 1;
      await mesh.add(`source-${names}`, source);
      return peerId(`source-${names}`);
    },
    dispose: async () => undefined,
  };
});

/** A peer's artifact, and how `fetch` asks for it. */
async function served() {
  const { bytes, id } = sampleBytes(1);
  const mesh = new Neighbours();
  const server = await mesh.add('a', sourceOf(bytes));
  const { key } = mesh.address('a');
  const path = `/v1/artifact/${id.slice('sha256:'.length)}`;
  const ask = (to: string, init: RequestInit = {}) =>
    fetch(`${server.url}${to}`, {
      ...init,
      headers: { authorization: `Bearer ${key}`, ...init.headers },
    });
  return { bytes, id, mesh, server, path, ask };
}

describe('the server of artifacts', () => {
  it('gives the whole, a range over a border of chunks, and the end', async () => {
    const { bytes, path, ask } = await served();
    const whole = await ask(path);
    expect([whole.status, whole.headers.get('accept-ranges')]).toEqual([200, 'bytes']);
    expect(bytes.equals(Buffer.from(await whole.arrayBuffer()))).toBe(true);
    const range = `bytes=${CHUNK_BYTES - 3}-${CHUNK_BYTES + 4}`;
    const part = await ask(path, { headers: { range } });
    expect([part.status, part.headers.get('content-range')]).toEqual([
      206,
      `bytes ${CHUNK_BYTES - 3}-${CHUNK_BYTES + 4}/${bytes.length}`,
    ]);
    expect(Buffer.from(await part.arrayBuffer())).toEqual(
      bytes.subarray(CHUNK_BYTES - 3, CHUNK_BYTES + 5),
    );
    const end = await ask(path, { headers: { range: 'bytes=-2' } });
    expect(Buffer.from(await end.arrayBuffer())).toEqual(bytes.subarray(-2));
    const head = await ask(path, { method: 'HEAD' });
    expect(Number(head.headers.get('content-length'))).toBe(bytes.length);
  });

  it('gives nothing to whoever has not the key, and knows no other paths', async () => {
    const { path, ask, server } = await served();
    for (const authorization of ['', 'Bearer ', 'Bearer wrong']) {
      expect((await ask(path, { headers: { authorization } })).status).toBe(401);
    }
    for (const other of ['/', '/v1/artifact/..%2f..', `${path}/../../hello`, '/v1/hello?nonce=x']) {
      expect((await ask(other)).status).toBe(404);
    }
    expect((await ask(path, { method: 'DELETE' })).status).toBe(405);
    expect((await ask(path, { method: 'POST', body: 'x' })).status).toBe(405);
    const beyond = await ask(path, { headers: { range: 'bytes=99999999-' } });
    expect(beyond.status).toBe(416);
    expect(server.streams).toBe(0);
  });

  it('tells those who ask for too much at once to come back', async () => {
    const { bytes, id } = sampleBytes(0);
    let open = (): void => undefined;
    const opened = new Promise<void>((resolve) => {
      open = resolve;
    });
    const mesh = new Neighbours();
    const server = await mesh.add(
      'a',
      sourceOf(bytes, {
        read: async ({ offset, bytes: length }) => {
          if (server.streams === 16) open();
          await opened;
          return bytes.slice(offset, offset + length);
        },
      }),
    );
    const transport = mesh.transport();
    const place = { artifact: id, index: 0, offset: 0, bytes: bytes.length };
    const get = () => transport.fetch(peerId('a'), place, Buffer.alloc(bytes.length), signal);
    const sixteen = Array.from({ length: 16 }, get);
    await opened;
    const all = await Promise.all([...sixteen, ...Array.from({ length: 8 }, get)]);
    expect(all.slice(0, 16).every(({ ok }) => ok)).toBe(true);
    for (const answer of all.slice(16)) {
      expect(answer.ok || answer.error.kind === 'busy').toBe(true);
    }
  });
});

describe('a stranger at the address of a peer', () => {
  it('is told no key', async () => {
    const { mesh, id } = await served();
    const heard: string[] = [];
    const address = await stranger(mesh.address('a').key, heard);
    mesh.tell('a', address);
    const listed = await mesh.transport().chunkList(peerId('a'), id, signal);
    expect(listed).toMatchObject({ ok: false, error: { kind: 'unreachable' } });
    expect(heard.join('')).toContain('/v1/hello');
    expect(heard.join('')).not.toContain(address.key);
  });

  it('hides no address that is the peer’s', async () => {
    const { mesh, id } = await served();
    const { urls, key } = mesh.address('a');
    const { urls: strange } = await stranger(key, []);
    mesh.tell('a', { urls: [...strange, 'http://127.0.0.1:1', 'nonsense', ...urls], key });
    expect((await mesh.transport().chunkList(peerId('a'), id, signal)).ok).toBe(true);
  });
});

it('goes through the server where a peer is not reached', async () => {
  const { mesh, id } = await served();
  const direct = mesh.transport();
  const relayed: string[] = [];
  const relay = {
    chunkList: (...[source, artifact, end]: Parameters<typeof direct.chunkList>) => {
      relayed.push(source);
      return direct.chunkList(peerId('a'), artifact, end);
    },
    fetch: direct.fetch.bind(direct),
  };
  const either = new EitherTransport(direct, relay);
  expect((await either.chunkList(peerId('a'), id, signal)).ok).toBe(true);
  expect(relayed).toEqual([]);
  expect((await either.chunkList(peerId('unknown'), id, signal)).ok).toBe(true);
  expect(relayed).toEqual(['unknown']);
});

it.each([
  [undefined, 'whole'],
  ['bytes=0-0', { start: 0, end: 1 }],
  ['bytes=2-', { start: 2, end: 10 }],
  ['bytes=2-99', { start: 2, end: 10 }],
  ['bytes=-3', { start: 7, end: 10 }],
  ['bytes=-99', { start: 0, end: 10 }],
  ['bytes=-0', 'unsatisfiable'],
  ['bytes=10-', 'unsatisfiable'],
  ['bytes=3-2', 'unsatisfiable'],
  ['bytes=0-1,3-4', 'unsatisfiable'],
  ['bytes=-', 'unsatisfiable'],
  ['lines=1-2', 'unsatisfiable'],
])('reads the range %s of 10 bytes', (header, range) => {
  expect(parseByteRange(header, 10)).toEqual(range);
});

it('compares secrets of any length', () => {
  expect([isSameSecret('a', 'a'), isSameSecret('a', 'ab'), isSameSecret('', 'a')]).toEqual([
    true,
    false,
    false,
  ]);
});

/** Answers everything with a proof of its own. */
async function stranger(key: string, heard: string[]): Promise<BulkAddress> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('data', (bytes) => {
      heard.push(bytes.toString('latin1'));
      const body = JSON.stringify({ peer: 'a', proof: '0'.repeat(64) });
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('does not listen');
  return { urls: [`http://127.0.0.1:${address.port}`], key };
}
