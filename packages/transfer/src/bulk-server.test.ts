import { once } from 'node:events';
import type { createServer, Server } from 'node:http';
import { connect } from 'node:net';
import { CHUNK_BYTES, peerId } from '@podmesh/core';
import { expect, it, onTestFinished, vi } from 'vitest';
import type { BulkServerParts } from './bulk-server.js';
import { bulkSourceOf, newServer, sampleBytes, sourceOf } from './transfer.test-kit.ts';

const KEY = 'key';
const authorization = `Bearer ${KEY}`;
const made = vi.hoisted((): { server: Server | undefined } => ({ server: undefined }));

vi.mock('node:http', async (importOriginal) => {
  const real = await importOriginal<typeof import('node:http')>();
  const create = ((...all: Parameters<typeof createServer>) => {
    made.server = real.createServer(...all);
    return made.server;
  }) as typeof createServer;
  return { ...real, createServer: create };
});

/** A server of one artifact of a chunk and a half, or more. */
async function serving(change: Partial<BulkServerParts> = {}, chunks = 1) {
  const { bytes, id } = sampleBytes(chunks);
  const source = bulkSourceOf(sourceOf(bytes));
  const server = newServer(peerId('a'), { key: KEY, source, ...change });
  await server.start();
  onTestFinished(() => server.stop());
  const path = `/v1/artifact/${id.slice('sha256:'.length)}`;
  const get = (headers: Record<string, string> = {}, method = 'GET') =>
    fetch(`${server.url}${path}`, { method, headers: { authorization, ...headers } });
  const dial = () => {
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
    onTestFinished(() => void socket.destroy());
    socket.on('error', () => undefined);
    return socket;
  };
  return { bytes, server, path, get, dial };
}

const requestOf = (path: string): string =>
  `GET ${path} HTTP/1.1\r\nhost: a\r\nauthorization: ${authorization}\r\n\r\n`;

it('closes a connection that asks again before it has its answer, and holds nothing of it', async () => {
  const { server, path, dial } = await serving({}, 8);
  const sockets = Array.from({ length: 8 }, () => dial());
  for (const socket of sockets) socket.write(requestOf(path).repeat(3));
  await Promise.all(sockets.map((socket) => once(socket.resume(), 'close')));
  await vi.waitFor(() => expect(server.streams).toBe(0), 20_000);
});

it('outlives a connection that could not be accepted', async () => {
  const { bytes, get } = await serving();
  made.server?.emit('error', Object.assign(new Error('accept EMFILE'), { code: 'EMFILE' }));
  expect((await (await get()).arrayBuffer()).byteLength).toBe(bytes.length);
});

it('gives up on who reads too slowly, whatever it reads', async () => {
  const { server, path, dial } = await serving({ chunkMs: 50 }, 16);
  const socket = dial();
  socket.write(requestOf(path));
  await once(socket, 'readable');
  expect(server.streams).toBe(1);
  await vi.waitFor(() => expect(server.streams).toBe(0), 20_000);
});

it('sends no more lists of chunks than anything else', async () => {
  const { bytes, server, path, dial, get } = await serving({}, 8);
  const sockets = Array.from({ length: 16 }, () => dial());
  for (const socket of sockets) socket.write(requestOf(path));
  await vi.waitFor(() => expect(server.streams).toBe(16), 20_000);
  const list = () => fetch(`${server.url}${path}/chunks`, { headers: { authorization } });
  expect((await list()).status).toBe(429);
  for (const socket of sockets) socket.destroy();
  await vi.waitFor(() => expect(server.streams).toBe(0), 20_000);
  expect(await (await list()).json()).toMatchObject({ bytes: bytes.length });
  expect((await get({}, 'HEAD')).status).toBe(200);
});

it('gives of what is not whole single chunks, and never says that it is the whole', async () => {
  const { bytes } = sampleBytes(1);
  const source = bulkSourceOf(sourceOf(bytes));
  let isWhole = false;
  const find = async () => ({ bytes: bytes.length, isWhole });
  const { get } = await serving({ source: { ...source, find } });
  const range = { range: `bytes=${CHUNK_BYTES}-${bytes.length - 1}` };
  expect([(await get()).status, (await get({}, 'HEAD')).status]).toEqual([404, 404]);
  expect((await get(range, 'HEAD')).status).toBe(404);
  const part = await get(range);
  expect(part.status).toBe(206);
  const got = Buffer.from(await part.arrayBuffer());
  expect(got.equals(bytes.subarray(CHUNK_BYTES))).toBe(true);
  isWhole = true;
  expect([(await get()).status, (await get({}, 'HEAD')).status]).toEqual([200, 200]);
});
