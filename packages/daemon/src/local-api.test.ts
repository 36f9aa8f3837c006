import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { CHUNK_BYTES, EMPTY_ARTIFACT, peerId } from '@podmesh/core';
import { inPieces } from '@podmesh/testkit';
import { describe, expect, it, onTestFinished } from 'vitest';
import { silent } from './daemon.test-kit.ts';
import { LocalApi, type LocalApiParts } from './local-api.ts';
import { LocalCache } from './local-api-cache.ts';
import { ARTIFACTS_MAX } from './local-api-request.ts';
import { DrainDesk } from './owner/drain-desk.ts';
import {
  chunkedArtifact,
  namesIn,
  newStore,
  someBytes,
  temporaryFolder,
  textStream,
  wrongBytesOf,
} from './store/store.test-kit.ts';
import { StoreDisk } from './store/store-disk.ts';

async function newCase(changes: Partial<LocalApiParts> = {}) {
  const { store } = await newStore();
  const home = await temporaryFolder();
  const peer = peerId('oak');
  const drains = new DrainDesk({ file: join(home, 'drained.json'), logger: silent });
  const { wrongBytes } = wrongBytesOf(store);
  const given = {
    home,
    env: {},
    store,
    wrongBytes,
    peer,
    version: '1.2.3',
    drains,
    logger: silent,
  };
  const parts = { ...given, ...changes };
  const newApi = () => {
    const api = new LocalApi(parts);
    onTestFinished(() => api.stop());
    return api;
  };
  const api = newApi();
  await api.start();
  const ask = (method: string, path: string, body?: unknown) =>
    asked(api.socket ?? '', method, path, body === undefined ? undefined : JSON.stringify(body));
  return { store, home, api, newApi, ask };
}

/** One request; the status, and the lines of the answer as JSON. */
async function asked(socketPath: string, method: string, path: string, body?: string) {
  const headers = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) };
  const asking = request({ socketPath, method, path, headers, agent: false });
  // A refusal may come, and the connection close, while the body is still being sent.
  const broken = new Promise<never>((_, reject) => asking.once('error', reject));
  broken.catch(() => undefined);
  asking.end(body);
  const [response] = await Promise.race([once(asking, 'response'), broken]);
  let text = '';
  for await (const piece of response) text += String(piece);
  const lines = text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
  return { status: response.statusCode as number, answer: lines[0], lines };
}

describe('the local API', () => {
  it('is for this user only, and gone with the daemon', async () => {
    const { api, home, ask } = await newCase();
    expect(api.socket).toBe(join(home, 'daemon.sock'));
    expect((await stat(api.socket ?? '')).mode & 0o777).toBe(0o600);
    expect(await ask('GET', '/v1/health')).toMatchObject({
      status: 200,
      answer: { peer: 'oak', version: '1.2.3', pid: process.pid },
    });
    await api.stop();
    await api.stop();
    expect(api.socket).toBeUndefined();
    expect(await namesIn(home)).toEqual([]);
  });

  it('may be stopped before it was started, and while it starts', async () => {
    const { home, api, newApi } = await newCase();
    await api.stop();
    await newApi().stop();
    const starting = newApi();
    const started = starting.start();
    await starting.stop();
    await started;
    expect(starting.socket).toBeUndefined();
    expect(await namesIn(home)).toEqual([]);
  });

  it('takes the place of a killed daemon, and never that of a living one', async () => {
    const { home, api, newApi, ask } = await newCase();
    const late = newApi();
    await late.start();
    expect(late.socket).toBeUndefined();
    expect((await ask('GET', '/v1/health')).status).toBe(200);
    await late.stop();
    expect((await ask('GET', '/v1/health')).status).toBe(200);
    await api.stop();
    await killedListener(join(home, 'daemon.sock'));
    expect(await namesIn(home)).toEqual(['daemon.sock']);
    const next = newApi();
    await next.start();
    expect(next.socket).toBe(join(home, 'daemon.sock'));
  });

  it('touches nothing that is no socket', async () => {
    const { home, api, newApi } = await newCase();
    await api.stop();
    await writeFile(join(home, 'daemon.sock'), 'mine');
    const next = newApi();
    await next.start();
    expect(next.socket).toBeUndefined();
    await next.stop();
    expect(await readFile(join(home, 'daemon.sock'), 'utf8')).toBe('mine');
  });

  it('has a private folder where the path of the home is too long for a socket', async () => {
    const runtime = await temporaryFolder();
    const home = join(await temporaryFolder(), 'x'.repeat(100));
    const { api, ask } = await newCase({ home, env: { XDG_RUNTIME_DIR: runtime } });
    const [name = ''] = await namesIn(runtime);
    expect(api.socket).toBe(join(runtime, name, 'daemon.sock'));
    expect((await stat(join(runtime, name))).mode & 0o777).toBe(0o700);
    expect((await ask('GET', '/v1/health')).status).toBe(200);
    await api.stop();
    expect(await namesIn(runtime)).toEqual([]);
  });

  it('takes back a folder of ours that is open to others, and none that leads elsewhere', async () => {
    const runtime = await temporaryFolder();
    const home = join(await temporaryFolder(), 'x'.repeat(100));
    const { api, newApi } = await newCase({ home, env: { XDG_RUNTIME_DIR: runtime } });
    const [name = ''] = await namesIn(runtime);
    await api.stop();
    await mkdir(join(runtime, name));
    await chmod(join(runtime, name), 0o777);
    const next = newApi();
    await next.start();
    expect((await stat(join(runtime, name))).mode & 0o777).toBe(0o700);
    await next.stop();
    const elsewhere = await temporaryFolder();
    await symlink(elsewhere, join(runtime, name));
    const last = newApi();
    await last.start();
    expect(last.socket).not.toContain(runtime);
    expect(await namesIn(elsewhere)).toEqual([]);
  });

  it('refuses what it does not know, with advice', async () => {
    const { ask, api } = await newCase();
    const refusals: readonly [number, string, string, unknown?][] = [
      [404, 'GET', '/'],
      [404, 'GET', '/v1/cache/'],
      [404, 'GET', '/v1/cache?x=1'],
      [404, 'GET', '/v1/../v1/cache'],
      [405, 'POST', '/v1/cache', {}],
      [405, 'GET', '/v1/cache/prune'],
      [405, 'HEAD', '/v1/cache'],
      [400, 'GET', '/v1/cache', {}],
      [400, 'POST', '/v1/cache/pin'],
      [400, 'POST', '/v1/cache/pin', []],
      [400, 'POST', '/v1/cache/pin', { artifacts: [] }],
      [400, 'POST', '/v1/cache/pin', { artifacts: ['sha256:1'] }],
      [400, 'POST', '/v1/cache/pin', { artifacts: [EMPTY_ARTIFACT], force: true }],
      [400, 'POST', '/v1/cache/pin', { artifacts: Array(ARTIFACTS_MAX + 1).fill(EMPTY_ARTIFACT) }],
      [400, 'POST', '/v1/cache/prune', { toBytes: -1 }],
      [400, 'POST', '/v1/cache/prune', { toBytes: '1' }],
      [400, 'POST', '/v1/cache/prune', { all: true }],
      [404, 'POST', '/', { artifacts: [EMPTY_ARTIFACT] }],
      [413, 'POST', '/v1/cache/prune', { toBytes: ' '.repeat(2 ** 22) }],
    ];
    for (const [status, method, path, body] of refusals) {
      const told = await ask(method, path, body);
      expect([told.status, method, path]).toEqual([status, method, path]);
      if (method === 'HEAD') continue;
      expect(told.answer).toEqual({ error: expect.any(String), advice: expect.any(String) });
    }
    const broken = await asked(api.socket ?? '', 'POST', '/v1/cache/prune', '{');
    expect(broken).toMatchObject({ status: 400, answer: { error: 'the body is no JSON' } });
  });

  it('is not kept from its end by who says nothing, or takes nothing', async () => {
    const { api } = await newCase();
    const mute = connect(api.socket ?? '');
    mute.on('error', () => undefined);
    await once(mute, 'connect');
    const half = connect(api.socket ?? '');
    half.on('error', () => undefined);
    half.write('POST /v1/cache/prune HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n{');
    await once(half, 'connect');
    await api.stop();
  });
});

describe('the cache in the local API', () => {
  it('is listed with what is whole, what is pinned, and the disk', async () => {
    const { ask, store } = await newCase();
    const { digest } = await store.write(textStream('hello'), 'copy');
    const large = chunkedArtifact(someBytes(CHUNK_BYTES + 1));
    const partial = await new StoreDisk(store).begin(large.digest, large.list);
    await partial.put(1, new Uint8Array(large.chunks[1] ?? []));
    await store.pins.pinForPerson([digest]);
    const { answer } = await ask('GET', '/v1/cache');
    expect(answer).toMatchObject({
      root: store.places.root,
      limits: { floorBytes: 0, ceilingBytes: expect.any(Number), minFreeBytes: 0 },
      storeBytes: 6,
      freeBytes: expect.any(Number),
    });
    const listed = new Map(
      answer.artifacts.map((entry: { artifact: string }) => [entry.artifact, entry]),
    );
    expect(listed.get(digest)).toEqual({
      artifact: digest,
      bytes: 5,
      whole: true,
      rank: 'copy',
      pins: ['pinned by a person'],
      usedMsAgo: expect.any(Number),
    });
    expect(listed.get(large.digest)).toMatchObject({
      bytes: 1,
      whole: false,
      pins: ['in use or just used'],
    });
    await partial.close();
  });

  it('is listed in full however long it is', async () => {
    const { ask, store } = await newCase();
    const count = 1_234;
    for (let index = 0; index < count; index += 1) {
      const hex = index.toString(16).padStart(64, '0');
      store.index.addWhole(`sha256:${hex}` as typeof EMPTY_ARTIFACT, 1);
    }
    const { answer } = await ask('GET', '/v1/cache');
    expect(answer.artifacts).toHaveLength(count);
  });

  it('pins and unpins, also what is not here yet', async () => {
    const { ask, store } = await newCase();
    const { digest } = await store.write(textStream('hello'));
    const artifacts = [digest, EMPTY_ARTIFACT, digest];
    expect((await ask('POST', '/v1/cache/pin', { artifacts })).answer).toEqual({
      artifacts: [
        { artifact: digest, here: true },
        { artifact: EMPTY_ARTIFACT, here: false },
      ],
    });
    expect(await readFile(store.places.pins, 'utf8')).toContain(digest);
    const unpinned = { artifacts: [{ artifact: digest, wasPinned: true }] };
    expect((await ask('POST', '/v1/cache/unpin', { artifacts: [digest] })).answer).toEqual(
      unpinned,
    );
    const again = { artifacts: [{ artifact: digest, wasPinned: false }] };
    expect((await ask('POST', '/v1/cache/unpin', { artifacts: [digest] })).answer).toEqual(again);
    expect(await readFile(store.places.pins, 'utf8')).not.toContain(digest);
  });

  it('is pruned', async () => {
    const { ask, store } = await newCase();
    const { digest } = await store.write(textStream('hello'), 'copy');
    expect((await ask('POST', '/v1/cache/prune')).answer).toMatchObject({ removed: [] });
    // What was used just now stays.
    expect((await ask('POST', '/v1/cache/prune', { toBytes: 0 })).answer).toMatchObject({
      removed: [],
      storeBytes: 5,
    });
    expect(await store.has(digest)).toBe(true);
  });

  it('is verified line by line; what is wrong is gone, what is missing named', async () => {
    const { ask, store } = await newCase();
    const large = chunkedArtifact(someBytes(CHUNK_BYTES + 1));
    await store.write(inPieces(large.bytes));
    const { digest: right } = await store.write(textStream('right'));
    const { digest: wrong } = await store.write(textStream('wrong'));
    await chmod(store.pathOf(wrong), 0o600);
    await writeFile(store.pathOf(wrong), 'wrung');
    const { lines } = await ask('POST', '/v1/cache/verify');
    const bytes = large.bytes.length + 10;
    expect(lines[0]).toEqual({ kind: 'verifying', artifacts: 3, bytes });
    expect(lines.filter(({ kind }) => kind === 'wrong')).toEqual([
      { kind: 'wrong', artifact: wrong, now: 'lost', why: 'nobody has it', ended: ['run/reader'] },
    ]);
    expect(lines.at(-1)).toEqual({ kind: 'verified', checked: 3, checkedBytes: bytes });
    expect(await store.has(wrong)).toBe(false);
    const named = await ask('POST', '/v1/cache/verify', { artifacts: [right, wrong] });
    expect(named.lines.slice(1)).toEqual([
      { kind: 'missing', artifact: wrong },
      { kind: 'verified', checked: 1, checkedBytes: 5 },
    ]);
  });

  it('says how far a verification is, does one at a time, and ends with who asked', async () => {
    const { store } = await newCase();
    await store.write(textStream('one'));
    await store.write(textStream('two'));
    const cache = new LocalCache(store, wrongBytesOf(store).wrongBytes, 0);
    const gone = new AbortController();
    const first = cache.verify(undefined, gone.signal);
    expect((await first.next()).value).toContain('"verifying"');
    await expect(cache.verify(undefined, gone.signal).next()).rejects.toMatchObject({
      status: 409,
    });
    expect((await first.next()).value).toContain('"progress"');
    gone.abort();
    let last = '';
    for await (const line of first) last = line;
    expect(last).toContain('"failed"');
    const lines: string[] = [];
    for await (const line of cache.verify(undefined, new AbortController().signal))
      lines.push(line);
    expect(lines.at(-1)).toContain('"verified"');
  });
});

/** A program that listened at the path and was killed. */
async function killedListener(path: string): Promise<void> {
  const script = `require('net').createServer().listen(process.argv[1], () => console.log('up'))`;
  const child = spawn(process.execPath, ['-e', script, path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}
