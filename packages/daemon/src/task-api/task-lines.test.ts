import { once } from 'node:events';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import {
  type AskingAttempt,
  type TaskQuestion,
  type TaskQuestions,
  type TaskReply,
  taskId,
} from '@podmesh/core';
import { freshLane, sampleOffer } from '@podmesh/testkit';
import { expect, it, onTestFinished } from 'vitest';
import { graphOf, publishGraph, silent } from '../daemon.test-kit.ts';
import { namesIn, someBytes } from '../store/store.test-kit.ts';
import { expectDocumented } from './documented.test-kit.ts';
import { ask, newApiCase } from './task-api.test-kit.ts';
import { CREDENTIALS_LATE_MS, JSON_BYTES_MAX, METRICS_MAX } from './task-api-limits.ts';
import { TaskLines } from './task-lines.ts';
import { replyOf } from './task-message.ts';

type Answer = (question: TaskQuestion) => Promise<TaskReply>;

/** Whoever is asked, without a server in between. */
class DirectQuestions implements TaskQuestions {
  readonly answering = new Map<string, Answer>();

  placesOf({ claim }: AskingAttempt) {
    return { subject: `ask.${claim}`, inbox: `inbox.${claim}` };
  }

  answer({ claim }: AskingAttempt, answer: Answer, signal: AbortSignal): void {
    this.answering.set(claim, answer);
    signal.addEventListener('abort', () => this.answering.delete(claim));
  }
}

async function newCase() {
  const questions = new DirectQuestions();
  const entered: AbortSignal[] = [];
  const listening: Server[] = [];
  const key = { name: '' };
  const lines = new TaskLines({
    questions,
    mint: async ({ claim }, expiresAtMs) => `${key.name}creds of ${claim} until ${expiresAtMs}`,
    listen: async (pid, port) => {
      if (pid === 0) throw new Error('there is no such process');
      expect(port).toBe(14_222);
      const server = createServer();
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      listening.push(server);
      return server;
    },
    letIn: (inside, signal) => {
      entered.push(signal);
      signal.addEventListener('abort', () => inside.destroy());
    },
    nowMs: () => 1_000,
    logger: silent,
  });
  onTestFinished(() => {
    for (const server of listening) server.close();
  });
  const api = await newApiCase({ lines });
  /** Asks by message; the answer as the tests of the socket see it. */
  const askBy = async (
    claim: string,
    method: string,
    path: string,
    said: Partial<TaskQuestion> = {},
  ) => {
    const answer = questions.answering.get(claim);
    if (answer === undefined) return undefined;
    const question = { method, path, query: '', body: new Uint8Array(), ...said };
    const { status, headers, body, error } = await answer(question);
    const text = Buffer.from(body).toString();
    const isJson = headers['content-type'] === 'application/json';
    return {
      status,
      headers,
      text,
      error,
      body: isJson ? (JSON.parse(text) as unknown) : undefined,
    };
  };
  const openWithNet = () => {
    const run = publishGraph(api.mesh, graphOf({ id: 'root', net: true, spawn: { tasks: 3 } }));
    const offer = { ...sampleOffer(run, freshLane()), task: taskId('root'), net: true };
    return api.open({ offer, ...api.begin(offer) });
  };
  return { ...api, questions, lines, key, entered, listening, askBy, openWithNet };
}

it('gives a task with network its credentials, and a way from inside, while it is at work', async () => {
  const { api, openWithNet, entered, listening } = await newCase();
  const { claim, directory, offer } = openWithNet();
  const line = await api.line(claim);
  expect(line?.env).toEqual({
    PODMESH_NATS_URL: 'nats://127.0.0.1:14222',
    PODMESH_NATS_CREDS: '/run/podmesh/nats.creds',
    PODMESH_NATS_SUBJECT: `ask.${claim}`,
    PODMESH_NATS_INBOX: `inbox.${claim}`,
  });
  const file = join(directory, 'nats.creds');
  const until = 1_000 + offer.timeoutMs + CREDENTIALS_LATE_MS;
  expect(await readFile(file, 'utf8')).toBe(`creds of ${claim} until ${until}`);
  expect((await stat(file)).mode & 0o777).toBe(0o444);
  await line?.attach(77);
  const [server] = listening;
  const address = server?.address();
  if (address === undefined || address === null || typeof address === 'string') throw new Error();
  const inside = connect(address.port, '127.0.0.1');
  await once(server as Server, 'connection');
  expect(entered).toHaveLength(1);
  // A machine without descriptors: no reason for the daemon to end.
  server?.emit('error', new Error('EMFILE'));
  const closed = [once(inside, 'close'), once(server as Server, 'close')];
  api.close(claim);
  await Promise.all(closed);
  expect(await namesIn(directory)).not.toContain('nats.creds');
});

it('gives tasks at work others, as good as long, when there is another key to sign with', async () => {
  const { api, openWithNet, lines, key } = await newCase();
  const [going, over] = [openWithNet(), openWithNet()];
  for (const { claim } of [going, over]) await api.line(claim);
  api.close(over.claim);
  key.name = 'other ';
  await lines.reissue();
  const until = 1_000 + going.offer.timeoutMs + CREDENTIALS_LATE_MS;
  const file = join(going.directory, 'nats.creds');
  expect(await readFile(file, 'utf8')).toBe(`other creds of ${going.claim} until ${until}`);
  expect((await stat(file)).mode & 0o777).toBe(0o444);
  expect(await namesIn(over.directory)).not.toContain('nats.creds');
});

it('leaves nothing of it to the next attempt at the same socket, nor to one without network', async () => {
  const { api, openWithNet, open } = await newCase();
  const one = openWithNet();
  await api.line(one.claim);
  api.remove(one.claim, true);
  const two = open();
  expect(await api.line(two.claim)).toBeUndefined();
  expect(await namesIn(two.directory)).toEqual(['sock']);
});

it('gives new ones to a container whose daemon was killed, over those that are there', async () => {
  const { api, openWithNet } = await newCase();
  const { claim, directory } = openWithNet();
  const file = join(directory, 'nats.creds');
  await writeFile(file, 'of before', { mode: 0o444 });
  const before = (await stat(file)).ino;
  await api.line(claim);
  expect(await readFile(file, 'utf8')).toContain(`creds of ${claim}`);
  // Another file: to one that is read-only its owner cannot write.
  expect((await stat(file)).ino).not.toBe(before);
  expect(await namesIn(directory)).not.toContain('nats.creds.new');
});

it('lets a task go on that cannot be reached inside', async () => {
  const { api, openWithNet } = await newCase();
  const { claim, socket } = openWithNet();
  const line = await api.line(claim);
  await expect(line?.attach(0)).resolves.toBeUndefined();
  expect((await ask(socket, 'GET', '/v1/me')).status).toBe(200);
});

it('answers by message what it answers at the socket', async () => {
  const { api, openWithNet, askBy } = await newCase();
  const { claim, socket } = openWithNet();
  await api.line(claim);
  for (const path of ['/v1/me', '/v1/capacity', '/v1/openapi.json', '/v1/tasks']) {
    const [over, at] = [await askBy(claim, 'GET', path), await ask(socket, 'GET', path)];
    expect(over, path).toMatchObject({ status: at.status, body: at.body });
    if (over !== undefined) expectDocumented('GET', path, over);
  }
  const body = Buffer.from('{"key":"k","jobs":[{"command":["true"]}]}');
  const spawned = await askBy(claim, 'POST', '/v1/tasks', { body });
  expect(spawned).toMatchObject({ status: 201, body: { key: 'k', tasks: [{ task: 'root--k' }] } });
  const seen = await askBy(claim, 'GET', '/v1/tasks/root--k', { query: 'wait=1ms' });
  expect(seen).toMatchObject({ status: 200, body: { task: 'root--k', settled: false } });
  const progress = { body: Buffer.from('{"fraction":0.5}') };
  expect(await askBy(claim, 'POST', '/v1/progress', progress)).toMatchObject({
    status: 204,
    text: '',
  });
});

it('refuses by message what it refuses at the socket, with the same words', async () => {
  const { api, openWithNet, askBy } = await newCase();
  const { claim } = openWithNet();
  await api.line(claim);
  const body = (text: string) => ({ body: Buffer.from(text) });
  const metrics = Object.fromEntries(
    Array.from({ length: METRICS_MAX + 1 }, (_, i) => [`m${i}`, i]),
  );
  const refused = [
    [await askBy(claim, 'GET', '/v1/nothing'), 404, 'not-found'],
    [await askBy(claim, 'PUT', '/v1/tasks'), 405, 'method-not-allowed'],
    [await askBy(claim, 'POST', '/v1/tasks', body('{')), 400, 'bad-request'],
    [await askBy(claim, 'POST', '/v1/metrics', body(JSON.stringify(metrics))), 400, 'bad-request'],
    [
      await askBy(claim, 'POST', '/v1/tasks', body(' '.repeat(JSON_BYTES_MAX + 1))),
      413,
      'too-large',
    ],
    [await askBy(claim, 'GET', '/v1/tasks/other'), 404, 'not-found'],
    [await askBy(claim, 'GET', '/v1/tasks', { query: 'wait=soon' }), 400, 'bad-request'],
  ] as const;
  for (const [answer, status, code] of refused) {
    expect(answer).toMatchObject({ status, error: code, body: { error: { code } } });
  }
  api.close(claim);
  expect(await askBy(claim, 'GET', '/v1/me')).toBeUndefined();
});

it('stores an artifact that fits, and gives one piece by piece', async () => {
  const { api, openWithNet, askBy } = await newCase();
  const { claim, socket } = openWithNet();
  await api.line(claim);
  const small = await askBy(claim, 'PUT', '/v1/artifacts', { body: Buffer.from('small') });
  expect(small).toMatchObject({ status: 201, body: { bytes: 5 } });
  const large = Buffer.from(someBytes(3_000_000));
  const { digest } = (await ask(socket, 'PUT', '/v1/artifacts', { body: large })).body as {
    digest: string;
  };
  const answer = (range?: string) =>
    askBy(claim, 'GET', `/v1/artifacts/${digest}`, { ...(range ? { range } : {}) });
  const first = await answer();
  expect(first?.status).toBe(206);
  expect(first?.headers['content-range']).toBe('bytes 0-1040383/3000000');
  const last = await answer('bytes=2999990-');
  expect(last).toMatchObject({
    status: 206,
    headers: { 'content-range': 'bytes 2999990-2999999/3000000' },
  });
  const middle = await answer('bytes=5-2999999');
  expect(middle?.headers['content-range']).toBe('bytes 5-1040388/3000000');
  expect(await answer('bytes=3000000-')).toMatchObject({
    status: 416,
    error: 'range-not-satisfiable',
  });
});

it('says that what does not fit into a message is to be asked for elsewhere', async () => {
  const value = { text: 'x'.repeat(100) };
  await expect(replyOf({ kind: 'json', status: 200, value }, 50)).rejects.toThrow(
    '/run/podmesh.sock',
  );
  let ended = 0;
  const onEnd = () => {
    ended += 1;
  };
  const source = (async function* () {
    yield Buffer.alloc(60);
  })();
  const headers = { 'content-type': 'application/json' };
  const listing = replyOf({ kind: 'bytes', status: 200, headers, source, onEnd }, 50);
  await expect(listing).rejects.toMatchObject({ code: 'too-large' });
  expect(ended).toBe(1);
});
