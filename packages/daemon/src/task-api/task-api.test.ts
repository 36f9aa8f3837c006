import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import { connect } from 'node:net';
import { EMPTY_ARTIFACT, readReportLine, taskId } from '@podmesh/core';
import { sampleArtifact } from '@podmesh/testkit';
import { describe, expect, it, vi } from 'vitest';
import { LogMask } from '../secrets/log-mask.ts';
import { namesIn, someBytes } from '../store/store.test-kit.ts';
import { documentedRoutes, expectDocumented } from './documented.test-kit.ts';
import { ask, newApiCase } from './task-api.test-kit.ts';
import {
  HEAD_BYTES_MAX,
  JSON_BYTES_MAX,
  METRICS_MAX,
  TASK_CONNECTIONS_MAX,
  TASK_REQUESTS_MAX,
  TASK_STREAMS_MAX,
} from './task-api-limits.ts';

/** The machine may be busy with other things. */
const UNHURRIED = { timeout: 120_000 };
const NOWHERE = `sha256:${'0'.repeat(64)}`;

describe('the description of the task API', () => {
  it('names exactly what is answered', async () => {
    const { api } = await newApiCase();
    const routes = api.routes.map(({ method, path }) => `${method} ${path}`);
    expect([...documentedRoutes()].sort()).toEqual(routes.sort());
  });

  it('is what a task gets, and describes what it gets', async () => {
    const { open } = await newApiCase();
    const { socket, offer } = open();
    const document = await ask(socket, 'GET', '/v1/openapi.json');
    expect(document.body).toMatchObject({ openapi: '3.1.0' });
    const me = await ask(socket, 'GET', '/v1/me');
    expectDocumented('GET', '/v1/me', me);
    expect(me.body).toMatchObject({
      run: offer.run,
      task: offer.task,
      attempt: 1,
      peer: 'oak',
      parents: [],
    });
    const capacity = await ask(socket, 'GET', '/v1/capacity');
    expectDocumented('GET', '/v1/capacity', capacity);
    expect(capacity.body).toMatchObject({ peers: 1, free: { cpus: 4 } });
  });
});

describe('who asks', () => {
  it('is told by the socket, which any user inside may use', async () => {
    const { open } = await newApiCase();
    const [one, two] = [open(), open()];
    expect((await stat(one.socket)).mode & 0o777).toBe(0o666);
    expect((await ask(one.socket, 'GET', '/v1/me')).body).toMatchObject({ run: one.offer.run });
    expect((await ask(two.socket, 'GET', '/v1/me')).body).toMatchObject({ run: two.offer.run });
  });

  it('is nobody when the attempt is over, also on a connection of before', async () => {
    const { api, open, home } = await newApiCase();
    const { claim, socket, directory } = open();
    const kept = connect(socket);
    await once(kept, 'connect');
    const closed = once(kept, 'close');
    api.close(claim);
    await closed;
    await expect(ask(socket, 'GET', '/v1/me')).rejects.toThrow();
    api.remove(claim, false);
    api.remove(claim, false);
    expect(await namesIn(directory)).toEqual([]);
    expect(await namesIn(home)).toEqual(['sockets']);
    await api.stop();
    expect(await namesIn(home)).toEqual([]);
  });

  it('is the next attempt at the same socket, once the container that had it is gone', async () => {
    const { api, open, home } = await newApiCase();
    const one = open();
    const made = async (path: string) => (await stat(path, { bigint: true })).birthtimeNs;
    const before = await made(one.socket);
    const kept = connect(one.socket);
    await once(kept, 'connect');
    const closed = once(kept, 'close');
    api.remove(one.claim, true);
    expect(await namesIn(one.directory)).toEqual([]);
    await closed;
    const two = open();
    expect(await made(two.socket)).toBe(before);
    expect((await ask(two.socket, 'GET', '/v1/me')).body).toMatchObject({ run: two.offer.run });
    // Of this one's container nobody knows whether it is gone.
    api.remove(two.claim, false);
    const three = open();
    expect(await made(three.socket)).not.toBe(before);
    expect((await ask(three.socket, 'GET', '/v1/me')).body).toMatchObject({ run: three.offer.run });
    api.remove(three.claim, true);
    await api.stop();
    expect(await namesIn(home)).toEqual([]);
  });

  it('is nobody whose connection waited in the queue when the next attempt came', async () => {
    const { api, open } = await newApiCase();
    const one = open();
    // In the queue of the kernel, with its request: this process has taken nothing from it yet.
    const waiting = connect(one.socket);
    waiting.on('error', () => undefined);
    waiting.write('GET /v1/me HTTP/1.1\r\nhost: task\r\n\r\n');
    let said = '';
    waiting.on('data', (piece) => {
      said += piece.toString();
    });
    const closed = new Promise<void>((resolve) => waiting.once('close', resolve));
    api.remove(one.claim, true);
    const two = open();
    await closed;
    expect(said).toBe('');
    expect((await ask(two.socket, 'GET', '/v1/me')).body).toMatchObject({ run: two.offer.run });
  });

  it('may be any user of the image, whatever the daemon was started with', async () => {
    const { open } = await newApiCase();
    const before = process.umask(0o077);
    try {
      const { directory, socket } = open();
      expect((await stat(directory)).mode & 0o777).toBe(0o755);
      expect((await stat(socket)).mode & 0o777).toBe(0o666);
    } finally {
      process.umask(before);
    }
  });

  it('finds the socket again in the same directory when the peer comes back', async () => {
    const { api, newApi, open } = await newApiCase();
    const { attempt, claim, directory, socket } = open();
    const gone = open();
    const before = await stat(directory);
    await api.stop();
    await api.stop();
    const next = await newApi([claim]);
    expect(await namesIn(gone.directory)).toEqual([]);
    expect(next.open(attempt)).toBe(directory);
    expect((await stat(directory)).ino).toBe(before.ino);
    expect((await ask(socket, 'GET', '/v1/me')).status).toBe(200);
  });
});

describe('artifacts of a task', () => {
  it('count against the disk that the job asked for, once for the same bytes, and not when they are refused', async () => {
    const { api, begin, open, mesh } = await newApiCase();
    const plain = open().offer;
    const offer = { ...plain, requirements: { ...plain.requirements, diskBytes: 1_000 } };
    const socket = `${api.open({ ...open().attempt, offer, ...begin({ ...offer, task: taskId('a') }) })}/sock`;
    const put = (body: Buffer, path = '/v1/artifacts') => ask(socket, 'PUT', path, { body });
    const all = Buffer.from(someBytes(2_000));
    const first = await put(all.subarray(0, 600));
    expect(first.status).toBe(201);
    const refused = await put(all.subarray(0, 401));
    expectDocumented('PUT', '/v1/artifacts', refused);
    expect(refused).toMatchObject({ status: 403, body: { error: { code: 'budget-exceeded' } } });
    expect(refused.text).toContain('needs.disk');
    expect((await put(all.subarray(0, 300), `/v1/artifacts/${NOWHERE}`)).status).toBe(422);
    const { digest } = first.body as { digest: string };
    expect((await put(all.subarray(0, 600), `/v1/artifacts/${digest}`)).status).toBe(201);
    expect((await put(all.subarray(0, 600))).status).toBe(403);
    expect((await put(all.subarray(700, 1_100))).status).toBe(201);
    expect((await put(Buffer.from('x'))).status).toBe(403);
    expect(mesh.artifacts.size).toBe(2);
    expect(new Set(api.held())).toEqual(new Set(mesh.artifacts.keys()));
  });

  it('are stored under their digest, and read whole or in part', async () => {
    const { open, mesh } = await newApiCase();
    const { socket } = open();
    const bytes = Buffer.from(someBytes(300_000));
    const { ref } = sampleArtifact(bytes);
    const stored = await ask(socket, 'PUT', '/v1/artifacts', { body: bytes });
    expectDocumented('PUT', '/v1/artifacts', stored);
    expect([stored.status, stored.body]).toEqual([201, ref]);
    expect(mesh.artifacts.has(ref.digest)).toBe(true);
    const path = `/v1/artifacts/${ref.digest}`;
    const whole = await ask(socket, 'GET', path);
    expect(whole).toMatchObject({ status: 200, headers: { 'podmesh-artifact-kind': 'file' } });
    expect(whole.headers['content-length']).toBe('300000');
    const part = await ask(socket, 'GET', path, { headers: { range: 'bytes=299999-' } });
    expect(part.status).toBe(206);
    expect(part.headers['content-range']).toBe('bytes 299999-299999/300000');
    const beyond = await ask(socket, 'GET', path, { headers: { range: 'bytes=300000-' } });
    expect(beyond.status).toBe(416);
    expectDocumented('GET', '/v1/artifacts/{digest}', beyond);
    const empty = await ask(socket, 'GET', `/v1/artifacts/${EMPTY_ARTIFACT}`);
    expect([empty.status, empty.text]).toEqual([200, '']);
  });

  it('are refused when they are not what their name says', async () => {
    const { open, mesh } = await newApiCase();
    const { socket } = open();
    const { ref } = sampleArtifact(Buffer.from('right'));
    const path = `/v1/artifacts/${ref.digest}`;
    const wrong = await ask(socket, 'PUT', path, { body: 'wrong' });
    expect(wrong).toMatchObject({ status: 422, body: { error: { code: 'digest-mismatch' } } });
    expectDocumented('PUT', '/v1/artifacts/{digest}', wrong);
    expect(mesh.artifacts.size).toBe(0);
    expect((await ask(socket, 'PUT', path, { body: 'right' })).status).toBe(201);
    expect(await ask(socket, 'GET', `/v1/artifacts/${NOWHERE}`)).toMatchObject({
      status: 404,
      body: { error: { code: 'artifact-missing' } },
    });
    expect((await ask(socket, 'GET', '/v1/artifacts/sha256:12')).status).toBe(400);
  });

  it('leave nothing when they break off', async () => {
    const { open, mesh, store } = await newApiCase();
    const { socket } = open();
    const half = connect(socket);
    half.write('PUT /v1/artifacts HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf');
    await once(half, 'connect');
    half.destroy();
    // What is stored after it is, and the half one is not.
    expect((await ask(socket, 'PUT', '/v1/artifacts', { body: 'whole' })).status).toBe(201);
    expect(mesh.artifacts.size).toBe(1);
    expect(store.index.whole(sampleArtifact(Buffer.from('half')).ref.digest)).toBeUndefined();
  });
});

describe('what a task says of itself', () => {
  it('is told on the channel of the live log', async () => {
    const { open, mesh } = await newApiCase();
    const { socket, offer } = open();
    const half = { fraction: 0.5, message: 'half of it ✓' };
    const told = await ask(socket, 'POST', '/v1/progress', { body: JSON.stringify(half) });
    expectDocumented('POST', '/v1/progress', told);
    expect(told.status).toBe(204);
    const { chunk } = mesh.liveLog.nextFrom(0, () => true);
    expect(chunk).toMatchObject({ run: offer.run, task: offer.task, attempt: 1 });
    expect(readReportLine(Buffer.from(chunk?.bytes ?? []).toString())).toEqual(half);
    const body = JSON.stringify({ loss: 0.25, __proto__: 1 });
    expect((await ask(socket, 'POST', '/v1/metrics', { body })).status).toBe(204);
  });

  it('is told without the secrets that it has', async () => {
    const { open, mesh } = await newApiCase();
    const mask = new LogMask([Buffer.from('hunter2-hunter3')]);
    const { socket } = open({ maskText: (text) => mask.text(text) });
    const body = JSON.stringify({ message: `${'x'.repeat(480)} https://a/?key=hunter2-hunter3` });
    expect((await ask(socket, 'POST', '/v1/progress', { body })).status).toBe(204);
    const { chunk } = mesh.liveLog.nextFrom(0, () => true);
    const told = readReportLine(Buffer.from(chunk?.bytes ?? []).toString());
    expect(told).toEqual({ message: `${'x'.repeat(480)} https://a/?key=***` });
  });

  it.each([
    ['/v1/progress', '{}'],
    ['/v1/progress', '{"fraction":2}'],
    ['/v1/progress', '{"fraction":0.5,"more":1}'],
    ['/v1/progress', '[]'],
    ['/v1/progress', '{'],
    ['/v1/metrics', '{"loss":"much"}'],
    [
      '/v1/metrics',
      JSON.stringify(Object.fromEntries(Array.from({ length: METRICS_MAX + 1 }, (_, i) => [i, i]))),
    ],
  ])('is refused at %s when it is %.20s', async (path, body) => {
    const { open } = await newApiCase();
    const answered = await ask(open().socket, 'POST', path, { body });
    expect(answered).toMatchObject({ status: 400, body: { error: { code: 'bad-request' } } });
    expectDocumented('POST', path, answered);
  });
});

describe('a task that asks badly', () => {
  it('is told so, and others are answered', async () => {
    const { open } = await newApiCase();
    const { socket } = open();
    for (const path of ['/', '*', '//v1/me', 'http://x/v1/me', '/v1/me/', '/v1/../v1/x']) {
      expect((await ask(socket, 'GET', path)).status).toBe(404);
    }
    expect((await ask(socket, 'DELETE', '/v1/me')).status).toBe(405);
    const headers = { long: 'x'.repeat(HEAD_BYTES_MAX) };
    expect((await ask(socket, 'GET', '/v1/me', { headers })).status).toBe(431);
    const body = Buffer.alloc(JSON_BYTES_MAX + 1, 0x20);
    const large = await ask(socket, 'POST', '/v1/progress', { body });
    expect(large).toMatchObject({ status: 413, body: { error: { code: 'too-large' } } });
    expect((await ask(socket, 'GET', '/v1/me')).status).toBe(200);
  });

  it('has so many connections and no more', async () => {
    const { open } = await newApiCase();
    const { socket } = open();
    const held = Array.from({ length: TASK_CONNECTIONS_MAX }, () => connect(socket));
    await Promise.all(held.map((one) => once(one, 'connect')));
    const more = connect(socket);
    more.resume();
    await once(more, 'close');
    expect((await ask(open().socket, 'GET', '/v1/me')).status).toBe(200);
    const closed = held.map((one) => once(one, 'close'));
    for (const one of held) one.destroy();
    await Promise.all(closed);
    expect((await ask(socket, 'GET', '/v1/me')).status).toBe(200);
  });

  it('has so many requests at the same time and no more, also on one connection', async () => {
    const { open } = await newApiCase();
    const { socket, reservation } = open();
    const body = JSON.stringify({ key: 'k', jobs: [{}] });
    expect((await ask(socket, 'POST', '/v1/tasks', { body })).status).toBe(201);
    const many = connect(socket);
    many.resume();
    many.write(
      'GET /v1/tasks/root--k?wait=5m HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(TASK_REQUESTS_MAX),
    );
    await reservation.lent;
    // The first one waits, so that the others were read, or are about to be.
    await vi.waitFor(async () => {
      const more = await ask(socket, 'GET', '/v1/me');
      expect(more).toMatchObject({ status: 429, body: { error: { code: 'too-many-requests' } } });
      expect(more.text).toContain(`${TASK_REQUESTS_MAX} requests of this task`);
    }, UNHURRIED);
    expect((await ask(open().socket, 'GET', '/v1/me')).status).toBe(200);
    many.destroy();
    await reservation.back;
    expect((await ask(socket, 'GET', '/v1/me')).status).toBe(200);
  });

  it('moves so many artifacts at the same time and no more', async () => {
    const { open } = await newApiCase();
    const { socket } = open();
    const head = 'PUT /v1/artifacts HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf';
    const held = Array.from({ length: TASK_STREAMS_MAX }, () => connect(socket));
    for (const one of held) one.resume().write(head);
    await vi.waitFor(async () => {
      const more = await ask(socket, 'PUT', '/v1/artifacts', { body: 'more' });
      expect(more).toMatchObject({ status: 429 });
    }, UNHURRIED);
    for (const one of held) one.destroy();
    await vi.waitFor(async () => {
      const more = await ask(socket, 'PUT', '/v1/artifacts', { body: 'more' });
      expect(more.status).toBe(201);
    }, UNHURRIED);
  });

  it('is told so when an artifact that it sends stalls, and nothing of it is kept', async () => {
    const { open, mesh } = await newApiCase({ stallMs: 100 });
    const { socket } = open();
    const slow = connect(socket);
    let answer = '';
    slow.setEncoding('utf8').on('data', (text: string) => {
      answer += text;
    });
    slow.write('PUT /v1/artifacts HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf');
    await once(slow, 'close');
    expect(answer === '' || answer.includes('408')).toBe(true);
    expect(mesh.artifacts.size).toBe(0);
  });

  it('is cut off when it takes nothing of an artifact that it asked for', async () => {
    const { open, mesh } = await newApiCase({ stallMs: 500 });
    const { socket } = open();
    // More than kernels buffer between two processes.
    const { ref, bytes } = sampleArtifact(Buffer.alloc(32 * 1024 * 1024, 7));
    mesh.artifacts.set(ref.digest, { ref, bytes });
    const slow = connect(socket);
    slow.write(`GET /v1/artifacts/${ref.digest} HTTP/1.1\r\nhost: x\r\n\r\n`);
    // It is told to be read only when the other side is gone already.
    await vi.waitFor(async () => {
      const others = Array.from({ length: TASK_STREAMS_MAX }, () =>
        ask(socket, 'PUT', '/v1/artifacts', { body: 'x' }),
      );
      const statuses = (await Promise.all(others)).map(({ status }) => status);
      expect(statuses.filter((status) => status === 201)).toHaveLength(TASK_STREAMS_MAX);
    }, UNHURRIED);
    let taken = 0;
    slow.on('data', (piece: Buffer) => {
      taken += piece.length;
    });
    await once(slow, 'close');
    expect(taken).toBeLessThan(ref.bytes);
  });

  it('is cut off when its head does not end, and when it hangs up halfway', async () => {
    const { open } = await newApiCase({ headMs: 100 });
    const { socket } = open();
    const slow = connect(socket);
    slow.resume();
    slow.write('GET /v1/me HTTP/1.1\r\nhost:');
    const half = connect({ path: socket, allowHalfOpen: true });
    half.resume();
    half.end('GET /v1/me HTTP/1.1\r\nhost: x\r\n');
    await Promise.all([once(slow, 'close'), once(half, 'close')]);
  });
});
