import { createInbox, headers } from '@nats-io/transport-node';
import { type AskingAttempt, claimId, runId, type TaskQuestion, taskId } from '@podmesh/core';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { JetStreamTaskQuestions } from './jetstream-task-questions.ts';
import type { MeshConnection } from './mesh-connection.ts';
import { controlSubject } from './subjects.ts';
import { TestServer } from './test-server.test-kit.ts';

const attempt: AskingAttempt = {
  run: runId('r1abcdefghij'),
  task: taskId('align:3'),
  claim: claimId('C1'),
};

let server: TestServer;
let peer: MeshConnection;
let task: MeshConnection;
let stop: AbortController;
let asked: TaskQuestion[];

beforeEach(async () => {
  server = await TestServer.start();
  peer = await server.connect('peer');
  task = await server.connect('task');
  stop = new AbortController();
  asked = [];
});

afterEach(async () => {
  stop.abort();
  await peer.close();
  await task.close();
  await server.remove();
});

/** Answers with what was asked, as a refusal if the path says so. */
async function serve(): Promise<{ subject: string; ask: typeof ask }> {
  const questions = new JetStreamTaskQuestions(peer);
  const answer = async (question: TaskQuestion) => {
    asked.push(question);
    const isRefused = question.path === '/v1/nothing';
    const body = Buffer.from(JSON.stringify({ path: question.path }));
    const head = { 'content-type': 'application/json' };
    return isRefused
      ? { status: 404, headers: head, error: 'not-found', body }
      : { status: 200, headers: head, body };
  };
  questions.answer(attempt, answer, stop.signal);
  await peer.nc.flush();
  const { subject, inbox } = questions.placesOf(attempt);
  const ask = (words: string, said = '', head = headers()) =>
    task.nc.request(`${subject}.${words}`, said, {
      timeout: 120_000,
      noMux: true,
      reply: createInbox(inbox),
      headers: head,
    });
  return { subject, ask };
}

test('a request names its method and path, and carries a query or a body', async () => {
  const { ask } = await serve();
  const head = headers();
  head.set('Range', 'bytes=0-9');
  const answer = await ask('GET.v1.tasks.align--x:2', 'wait=30s', head);
  expect(answer.json()).toEqual({ path: '/v1/tasks/align--x:2' });
  expect(answer.headers?.get('Podmesh-Status')).toBe('200');
  expect(answer.headers?.get('content-type')).toBe('application/json');
  await ask('POST.v1.progress', '{"fraction":1}');
  await ask('GET.v1.openapi.json');
  expect(
    asked.map(({ body, ...rest }) => ({ ...rest, body: Buffer.from(body).toString() })),
  ).toEqual([
    {
      method: 'GET',
      path: '/v1/tasks/align--x:2',
      query: 'wait=30s',
      range: 'bytes=0-9',
      body: '',
    },
    { method: 'POST', path: '/v1/progress', query: '', body: '{"fraction":1}' },
    { method: 'GET', path: '/v1/openapi.json', query: '', body: '' },
  ]);
});

test('a refusal is told as services of NATS tell it', async () => {
  const { ask } = await serve();
  const refused = await ask('GET.v1.nothing');
  expect(refused.headers?.get('Nats-Service-Error')).toBe('not-found');
  expect(refused.headers?.get('Nats-Service-Error-Code')).toBe('404');
  expect(refused.headers?.get('Podmesh-Status')).toBe('404');
});

test('nobody can have the answer written elsewhere than to the attempt', async () => {
  const { subject, ask } = await serve();
  const elsewhere = [
    controlSubject(attempt.run),
    '_INBOX.other.1',
    '$JS.API.STREAM.DELETE.PM_RUN',
    `pm.task.${attempt.run}.${attempt.task}.C2.inbox.1`,
    `${subject}.inbox`,
  ];
  let strays = 0;
  const stray = () => {
    strays += 1;
  };
  for (const place of elsewhere) task.nc.subscribe(place, { callback: stray });
  for (const reply of elsewhere) task.nc.publish(`${subject}.GET.v1.me`, '', { reply });
  task.nc.publish(`${subject}.GET.v1.me`);
  task.nc.publish(`${subject}.get.v1.me`, '', { reply: `${subject}.inbox.1` });
  // Answered in order: what was asked before was looked at.
  await ask('GET.v1.me');
  expect(asked).toHaveLength(1);
  expect(strays).toBe(0);
});

test('nobody answers an attempt that is over, nor another one of the task', async () => {
  const { subject, ask } = await serve();
  await ask('GET.v1.me');
  stop.abort();
  await peer.nc.flush();
  await expect(ask('GET.v1.me')).rejects.toThrow(/no responders/i);
  const later = subject.replace(/C1$/, 'C2');
  await expect(task.nc.request(`${later}.GET.v1.me`)).rejects.toThrow(/no responders/i);
  expect(asked).toHaveLength(1);
});
