import { createHash, randomBytes } from 'node:crypto';
import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type ArtifactId,
  ArtifactMissingError,
  type ArtifactRef,
  canonicalJson,
  EMPTY_ARTIFACT,
} from '@podmesh/core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { extractArtifact, storePath } from './artifact-files.ts';
import { artifactIdOf } from './digest-stream.ts';
import { JetStreamArtifactStore } from './jetstream-artifact-store.ts';
import type { MeshConnection } from './mesh-connection.ts';
import { ArtifactCorruptError, UnreadableMessageError } from './mesh-errors.ts';
import { ARTIFACT_STREAM } from './subjects.ts';
import { TestServer } from './test-server.test-kit.ts';
import { makeTree } from './tree-artifact.ts';

let server: TestServer;
let mesh: MeshConnection;
let store: JetStreamArtifactStore;
let directory: string;

beforeAll(async () => {
  server = await TestServer.start();
  mesh = await server.connect();
  await mesh.ensureStreams({ replicas: 1 });
  store = new JetStreamArtifactStore(mesh);
  directory = await mkdtemp(join(tmpdir(), 'podmesh-artifacts-'));
});

afterAll(async () => {
  await mesh?.close();
  await server?.remove();
  await rm(directory, { recursive: true, force: true });
});

const refOf = (bytes: Uint8Array): ArtifactRef => ({
  digest: artifactIdOf(bytes),
  kind: 'file',
  bytes: bytes.length,
});

async function* pieces(bytes: Uint8Array, size = 100_000): AsyncGenerator<Uint8Array> {
  for (let from = 0; from < bytes.length; from += size) yield bytes.subarray(from, from + size);
}

async function read(artifact: ArtifactId): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of store.get(artifact)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

test('stores 50 MB and gives them back, in pieces, once', async () => {
  const bytes = randomBytes(50 * 1024 * 1024);
  const ref = refOf(bytes);
  let began = performance.now();
  await store.put(ref, pieces(bytes));
  const putMs = performance.now() - began;
  began = performance.now();
  const hash = createHash('sha256');
  for await (const chunk of store.get(ref.digest)) hash.update(chunk);
  console.log(
    `50 MiB: put ${Math.round(putMs)} ms, get ${Math.round(performance.now() - began)} ms`,
  );
  expect(`sha256:${hash.digest('hex')}`).toBe(ref.digest);
  const before = (await mesh.jsm.streams.info(ARTIFACT_STREAM)).state.last_seq;
  await store.put(
    ref,
    (async function* () {
      yield await Promise.reject(new Error('read although it is stored'));
    })(),
  );
  expect((await mesh.jsm.streams.info(ARTIFACT_STREAM)).state.last_seq).toBe(before);
  expect(await store.stat([ref.digest])).toEqual(new Map([[ref.digest, ref]]));
});

test('stores nothing of bytes that are not what they are called', async () => {
  const bytes = randomBytes(2_000_000);
  const ref = refOf(bytes);
  const before = (await mesh.jsm.streams.info(ARTIFACT_STREAM)).state.messages;
  const damaged = Buffer.from(bytes);
  damaged[1_999_999] = (damaged[1_999_999] ?? 0) ^ 1;
  await expect(store.put(ref, pieces(damaged))).rejects.toThrow(ArtifactCorruptError);
  await expect(store.put({ ...ref, bytes: 5 }, pieces(bytes))).rejects.toThrow(
    ArtifactCorruptError,
  );
  expect((await mesh.jsm.streams.info(ARTIFACT_STREAM)).state.messages).toBe(before);
  expect((await store.stat([ref.digest])).size).toBe(0);
  await expect(read(ref.digest)).rejects.toThrow(ArtifactMissingError);
});

test('finds out when stored bytes were damaged or lost', async () => {
  const bytes = randomBytes(1_000_000);
  const ref = refOf(bytes);
  await store.put(ref, pieces(bytes));
  const { state } = await mesh.jsm.streams.info(ARTIFACT_STREAM);
  await mesh.jsm.streams.deleteMessage(ARTIFACT_STREAM, state.last_seq - 1);
  await expect(read(ref.digest)).rejects.toThrow(ArtifactCorruptError);
});

test('two peers may store the same bytes at the same time', async () => {
  const bytes = randomBytes(3_000_000);
  const ref = refOf(bytes);
  const before = (await mesh.jsm.streams.info(ARTIFACT_STREAM)).state.bytes;
  await Promise.all([1, 2, 3].map(() => store.put(ref, pieces(bytes))));
  expect(Buffer.compare(await read(ref.digest), bytes)).toBe(0);
  const grown = (await mesh.jsm.streams.info(ARTIFACT_STREAM)).state.bytes - before;
  expect(grown).toBeLessThan(2 * bytes.length);
});

test('the empty artifact is everywhere and never stored', async () => {
  await store.put({ digest: EMPTY_ARTIFACT, kind: 'file', bytes: 0 }, pieces(Buffer.alloc(0)));
  expect(await read(EMPTY_ARTIFACT)).toHaveLength(0);
  expect((await store.stat([EMPTY_ARTIFACT])).get(EMPTY_ARTIFACT)?.bytes).toBe(0);
});

test('a directory comes back as it was, under any name', async () => {
  const from = join(directory, 'from');
  await mkdir(join(from, 'a', 'deep'), { recursive: true });
  await mkdir(join(from, 'empty'));
  await writeFile(join(from, 'a', 'deep', 'x'), 'x');
  await writeFile(join(from, 'a', 'none'), '');
  await writeFile(join(from, 'run.sh'), '#!/bin/sh\n');
  await chmod(join(from, 'run.sh'), 0o755);
  await symlink('../run.sh', join(from, 'a', 'link'));
  for (let i = 0; i < 50; i++) await writeFile(join(from, `file-${i}`), `content ${i}`);
  const ref = await storePath(from, store);
  expect(ref.kind).toBe('dir');
  const to = join(directory, 'to');
  await extractArtifact(ref, to, store);
  expect(await readFile(join(to, 'a', 'deep', 'x'), 'utf8')).toBe('x');
  expect(await readFile(join(to, 'a', 'none'), 'utf8')).toBe('');
  expect(await readlink(join(to, 'a', 'link'))).toBe('../run.sh');
  expect((await stat(join(to, 'run.sh'))).mode & 0o777).toBe(0o755);
  expect((await stat(join(to, 'empty'))).isDirectory()).toBe(true);
  expect(await storePath(to, store)).toEqual(ref);
  const nested = makeTree([{ kind: 'tree', path: '0', digest: ref.digest }]);
  await store.put(nested.ref, pieces(nested.bytes));
  await extractArtifact(nested.ref, join(directory, 'nested'), store);
  expect(await readFile(join(directory, 'nested', '0', 'file-7'), 'utf8')).toBe('content 7');
});

test('a single file comes back, and a missing one leaves nothing behind', async () => {
  const from = join(directory, 'single');
  await writeFile(from, 'hello');
  const ref = await storePath(from, store);
  await extractArtifact(ref, join(directory, 'out', 'single'), store);
  expect(await readFile(join(directory, 'out', 'single'), 'utf8')).toBe('hello');
  const missing = refOf(Buffer.from('nobody stored this'));
  await expect(extractArtifact(missing, join(directory, 'out', 'missing'), store)).rejects.toThrow(
    ArtifactMissingError,
  );
  expect(await readdir(join(directory, 'out'))).toEqual(['single']);
});

test.each([
  ['a path that climbs', [{ kind: 'dir', path: '../x' }]],
  ['an absolute path', [{ kind: 'dir', path: '/x' }]],
  ['an absolute link', [{ kind: 'symlink', path: 'l', target: '/etc/passwd' }]],
  ['a link that climbs out', [{ kind: 'symlink', path: 'd/l', target: '../../x' }]],
  ['a link that climbs behind a name', [{ kind: 'symlink', path: 'd/l', target: 'up/../..' }]],
  [
    'a file behind a link',
    [
      { kind: 'symlink', path: 'l', target: 'd' },
      { kind: 'dir', path: 'l/x' },
    ],
  ],
])('refuses to extract %s', async (_, entries) => {
  const bytes = Buffer.from(canonicalJson({ podmeshTree: 1, entries }));
  const ref: ArtifactRef = { ...refOf(bytes), kind: 'dir' };
  await store.put(ref, pieces(bytes));
  const to = join(directory, 'refused');
  await expect(extractArtifact(ref, to, store)).rejects.toThrow(UnreadableMessageError);
  await expect(stat(to)).rejects.toThrow();
});
