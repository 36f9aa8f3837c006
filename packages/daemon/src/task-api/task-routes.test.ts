import { type AttemptStarted, type RunId, taskId } from '@podmesh/core';
import {
  freshLane,
  sampleFailed,
  sampleOffer,
  sampleStarted,
  sampleSucceeded,
} from '@podmesh/testkit';
import { describe, expect, it } from 'vitest';
import { eventsOf, graphOf, publishGraph } from '../daemon.test-kit.ts';
import { expectDocumented } from './documented.test-kit.ts';
import { type Answered, ask, newApiCase } from './task-api.test-kit.ts';

type Case = Awaited<ReturnType<typeof newApiCase>>;

const ONE = { jobs: [{ id: 'x', outputs: { out1: 'fd:1' } }] };

async function spawn(socket: string, order: object): Promise<Answered> {
  const answered = await ask(socket, 'POST', '/v1/tasks', { body: JSON.stringify(order) });
  expectDocumented('POST', '/v1/tasks', answered);
  return answered;
}

const idsIn = ({ body }: Answered): readonly string[] =>
  (body as { tasks: readonly { task: string }[] }).tasks.map(({ task }) => task);

/** Another peer begins the sub-task, or ends it. */
function start({ mesh }: Case, run: RunId, task: string) {
  const started = sampleStarted(run, taskId(task));
  const appended = mesh.log.append(started, 0);
  if (!appended.ok) throw new Error(`${task} is at work already`);
  const end = (outcome: (started: AttemptStarted) => Parameters<typeof mesh.log.append>[0]) =>
    mesh.log.append(outcome(started), appended.value);
  return { succeed: () => end(sampleSucceeded), fail: () => end(sampleFailed) };
}

describe('what a task spawns', () => {
  const FAR = { id: 'far', outputs: { out1: 'fd:1' }, net: true };
  const WEB = 'https://data.example.org/x';
  const read = { ...ONE.jobs[0], inputs: { a: WEB } };
  const sent = { ...ONE.jobs[0], outputs: { out1: { fd: 1, to: WEB } } };

  it.each([
    ['jobs[0].net', FAR],
    ['jobs[0].inputs.a', read],
    ['jobs[0].outputs.out1.to', sent],
  ])('has no network that the task has not: %s', async (path, job) => {
    const bench = await newApiCase();
    const refused = await spawn(bench.open().socket, { jobs: [job] });
    expect(refused.status).toBe(400);
    expect(refused.text).toContain(`${path}: `);
    const run = publishGraph(bench.mesh, graphOf({ id: 'root', net: true }));
    const offer = { ...sampleOffer(run, freshLane()), task: taskId('root') };
    const { socket } = bench.open({ offer, ...bench.begin(offer) });
    expect((await spawn(socket, { jobs: [job] })).status).toBe(201);
    for (const url of ['http://127.0.0.1:5000/v2/', 'http://localhost/', 'https://[::1]/x']) {
      const jobs = [JSON.parse(JSON.stringify(job).replace(WEB, url))];
      const isNet = job === FAR;
      expect((await spawn(socket, { key: url, jobs })).status).toBe(isNet ? 201 : 400);
    }
  });
});

describe('a task that spawns', () => {
  it('reads a long list in pieces, of which no more is made than is taken', async () => {
    const bench = await newApiCase();
    const run = publishGraph(bench.mesh, graphOf({ id: 'root' }));
    const offer = { ...sampleOffer(run, freshLane()), task: taskId('root') };
    const { socket } = bench.open({ offer, ...bench.begin(offer) });
    expect((await spawn(socket, { jobs: [{ ...ONE.jobs[0], count: 3_000 }] })).status).toBe(201);
    const all = await ask(socket, 'GET', '/v1/tasks');
    expectDocumented('GET', '/v1/tasks', all);
    expect(all.headers['content-length']).toBeUndefined();
    const { tasks } = all.body as { tasks: readonly { task: string }[] };
    expect(new Set(tasks.map(({ task }) => task)).size).toBe(3_000);
  });

  it('adds jobs to its run, and waits for them while its cores are for others', async () => {
    const bench = await newApiCase();
    const { socket, offer, reservation } = bench.open();
    const spawned = await spawn(socket, { key: 'k', ...ONE });
    expect(spawned).toMatchObject({
      status: 201,
      body: { key: 'k', tasks: [{ task: 'root--k' }] },
    });
    const path = '/v1/tasks/root--k';
    const now = await ask(socket, 'GET', path);
    expect(now.body).toMatchObject({ state: 'ready', settled: false, attempts: 0 });
    expect(reservation.lends).toBe(0);
    const waiting = ask(socket, 'GET', `${path}?wait=30s`);
    const sub = start(bench, offer.run, 'root--k');
    // Whether it waits by now shows when it does not any more.
    sub.succeed();
    const done = await waiting;
    expectDocumented('GET', '/v1/tasks/{id}', done);
    expect(done.body).toMatchObject({ state: 'succeeded', settled: true, attempts: 1 });
    expect(done.body).toMatchObject({ outputs: { out1: { kind: 'file' } }, exit: { code: 0 } });
    expect(reservation.isLent).toBe(false);
  });

  it('lends its cores once for many waits, and takes them back after the last', async () => {
    const bench = await newApiCase();
    const { socket, offer, reservation } = bench.open();
    const [a = '', b = ''] = idsIn(await spawn(socket, { jobs: [{ id: 'a' }, { id: 'b' }] }));
    const waits = [a, b].map((id) => ask(socket, 'GET', `/v1/tasks/${id}?wait=1m`));
    await reservation.lent;
    start(bench, offer.run, a).succeed();
    expect((await waits[0])?.body).toMatchObject({ settled: true });
    start(bench, offer.run, b).fail();
    const failed = await waits[1];
    expect(failed?.body).toMatchObject({ state: 'failed', failure: { kind: 'exit' } });
    expect(reservation).toMatchObject({ isLent: false });
    expect((await ask(socket, 'GET', `/v1/tasks/${a}?wait=0s`)).status).toBe(200);
  });

  it('is answered when the time is up, and lends nothing after whoever waited is gone', async () => {
    const bench = await newApiCase();
    const { socket, claim, reservation } = bench.open();
    await spawn(socket, { key: 'k', ...ONE });
    const late = await ask(socket, 'GET', '/v1/tasks/root--k?wait=10ms');
    expect(late).toMatchObject({ status: 200, body: { settled: false } });
    const broken = ask(socket, 'GET', '/v1/tasks/root--k?wait=1m');
    broken.catch(() => undefined);
    await reservation.lent;
    bench.api.close(claim);
    await expect(broken).rejects.toThrow();
    await reservation.back;
    expect(reservation.isLent).toBe(false);
  });

  it('gets the same for the same key, in this attempt and the next, with one fact in the log', async () => {
    const bench = await newApiCase();
    const { socket, offer, started, startedSequence, mesh } = { ...bench, ...bench.open() };
    const first = await spawn(socket, ONE);
    expect((await spawn(socket, ONE)).body).toEqual(first.body);
    const taken = await spawn(socket, {
      key: (first.body as { key: string }).key,
      jobs: [{ id: 'y' }],
    });
    expect(taken).toMatchObject({ status: 409, body: { error: { code: 'conflict' } } });
    const { run, task, attempt, claim, peer } = started;
    const lost = { kind: 'attempt-lost', run, task, attempt, claim, peer, reason: 'gone' } as const;
    mesh.log.append(lost, startedSequence);
    const again = sampleStarted(run, task, 2);
    const appended = mesh.log.append(again, startedSequence + 1 + 1);
    const next = bench.open({
      offer: { ...offer, attempt: 2 },
      claim: again.claim,
      startedSequence: appended.ok ? appended.value : 0,
    });
    expect((await spawn(next.socket, ONE)).body).toEqual(first.body);
    expect(eventsOf(mesh, run).filter(({ kind }) => kind === 'tasks-spawned')).toHaveLength(1);
    // The attempt before may still be there, and spawns nothing any more.
    expect(await spawn(socket, { key: 'new', ...ONE })).toMatchObject({ status: 410 });
  });

  it('wants some no more, and is told how they are', async () => {
    const bench = await newApiCase();
    const { socket, offer, mesh } = { ...bench, ...bench.open() };
    const [a = '', b = '', c = ''] = idsIn(await spawn(socket, { jobs: [{ id: 'x', count: 3 }] }));
    start(bench, offer.run, a).succeed();
    start(bench, offer.run, b);
    const drop = (id: string) => ask(socket, 'DELETE', `/v1/tasks/${id}`);
    const answers = [await drop(a), await drop(b), await drop(c), await drop(c)];
    for (const answer of answers) expectDocumented('DELETE', '/v1/tasks/{id}', answer);
    expect(answers.map(({ body }) => body)).toMatchObject([
      { state: 'succeeded' },
      { state: 'running', settled: false },
      { state: 'cancelled', settled: true },
      { state: 'cancelled' },
    ]);
    const told = eventsOf(mesh, offer.run).filter(({ kind }) => kind === 'sub-tasks-dropped');
    expect(told).toMatchObject([{ tasks: [b] }, { tasks: [c] }]);
    expect((await drop('root')).status).toBe(404);
  });

  it('sees all of its own at once, as they are settled', async () => {
    const bench = await newApiCase();
    const { socket, offer } = bench.open();
    const ids = idsIn(await spawn(socket, { jobs: [{ id: 'x', count: 3 }] }));
    const waiting = ask(socket, 'GET', '/v1/tasks?settled=0&wait=1m');
    start(bench, offer.run, ids[1] ?? '').succeed();
    const seen = await waiting;
    expectDocumented('GET', '/v1/tasks', seen);
    expect(seen.body).toMatchObject({ settled: 1, tasks: ids.map((task) => ({ task })) });
  });

  it.each([
    [403, 'budget-exceeded', { jobs: [{ id: 'x', count: 4 }] }],
    [400, 'bad-request', { jobs: [{ id: 'x', nonsense: 1 }] }],
    [400, 'bad-request', { jobs: [{ id: 'x', inputs: { a: 'file:a' } }] }],
    [400, 'bad-request', { jobs: [] }],
    [400, 'bad-request', { jobs: [{}], more: 1 }],
    [400, 'bad-request', { key: 7, jobs: [{}] }],
  ])('is refused with %i %s', async (status, code, order) => {
    const { open } = await newApiCase();
    const answered = await spawn(open().socket, order);
    expect(answered).toMatchObject({ status, body: { error: { code } } });
  });

  it('does not see tasks that are not below it', async () => {
    const bench = await newApiCase();
    const { socket, offer } = bench.open();
    for (const id of ['root', 'other', '..', 'root:9']) {
      expect(await ask(socket, 'GET', `/v1/tasks/${id}`)).toMatchObject({ status: 404 });
    }
    const [below = ''] = idsIn(await spawn(socket, { key: 'k', ...ONE }));
    const inner = { ...sampleOffer(offer.run, freshLane()), task: taskId(below) };
    const sub = bench.open({ offer: inner, ...bench.begin(inner) });
    expect((await ask(sub.socket, 'GET', '/v1/me')).body).toMatchObject({
      parents: ['root'],
      spawn: { tasks: 2, depth: 3 },
    });
    const [lowest = ''] = idsIn(await spawn(sub.socket, { key: 'l', ...ONE }));
    expect((await ask(socket, 'GET', `/v1/tasks/${lowest}`)).status).toBe(200);
    expect((await ask(sub.socket, 'GET', `/v1/tasks/${below}`)).status).toBe(404);
    expect((await ask(socket, 'GET', '/v1/tasks/x?wait=soon')).status).toBe(400);
  });
});
