import type { Logged, RunId } from '@podmesh/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { JetStreamRunLog } from './jetstream-run-log.ts';
import type { MeshConnection } from './mesh-connection.ts';
import { MeshSilentError, MessageTooLargeError } from './mesh-errors.ts';
import { freshRun, published, started, task } from './samples.test-kit.ts';
import { RUN_STREAM, taskSubject } from './subjects.ts';
import { TestServer } from './test-server.test-kit.ts';

let server: TestServer;
let mesh: MeshConnection;
let other: MeshConnection;

beforeAll(async () => {
  server = await TestServer.start();
  mesh = await server.connect('one');
  other = await server.connect('two');
  await mesh.ensureStreams({ replicas: 1 });
});

afterAll(async () => {
  await mesh?.close();
  await other?.close();
  await server?.remove();
});

const stored = async (run: RunId): Promise<readonly Logged[]> => {
  const all: Logged[] = [];
  for await (const batch of new JetStreamRunLog(mesh).read(run)) all.push(...batch);
  return all;
};

describe('append', () => {
  test('refuses a stale writer', async () => {
    const [log, run] = [new JetStreamRunLog(mesh), freshRun()];
    const first = await log.append(started(run, task(0), 'a'), 0);
    expect(first.ok).toBe(true);
    expect(await log.append(started(run, task(0), 'b'), 0)).toEqual({
      ok: false,
      error: { kind: 'stale' },
    });
    expect(await stored(run)).toHaveLength(1);
  });

  test('lets exactly one of two racing writers win, each time', async () => {
    const logs = [new JetStreamRunLog(mesh), new JetStreamRunLog(other)];
    const run = freshRun();
    for (let i = 0; i < 50; i++) {
      const both = await Promise.all(
        logs.map((log, who) => log.append(started(run, task(i), `claim-${who}`), 0)),
      );
      expect(both.filter(({ ok }) => ok)).toHaveLength(1);
    }
  });

  test('recognises an append that had landed without an answer', async () => {
    const [log, run] = [new JetStreamRunLog(mesh), freshRun()];
    const event = started(run, task(0), 'a');
    const first = await log.append(event, 0);
    expect(await new JetStreamRunLog(other).append({ ...event }, 0)).toEqual(first);
    expect(await stored(run)).toHaveLength(1);
  });

  test('groups 200 concurrent appends and refuses only the stale among them', async () => {
    const [log, run] = [new JetStreamRunLog(mesh), freshRun()];
    const taken = new Set([3, 77, 150]);
    const rival = new JetStreamRunLog(other);
    for (const i of taken) await rival.append(started(run, task(i), 'rival'), 0);
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, i) => log.append(started(run, task(i), `claim-${i}`), 0)),
    );
    const events = await stored(run);
    expect(events).toHaveLength(200);
    for (const [i, answer] of answers.entries()) {
      expect(answer.ok).toBe(!taken.has(i));
      const mine = events.find(
        ({ event }) => event.kind === 'attempt-started' && event.task === task(i),
      );
      if (answer.ok) expect(mine?.sequence).toBe(answer.value);
    }
  });

  test('keeps the order of appends to one subject that wait together', async () => {
    const [log, run] = [new JetStreamRunLog(mesh), freshRun()];
    const answers = await Promise.all(
      ['a', 'b', 'c'].map((claim) => log.append(started(run, task(0), claim), 0)),
    );
    expect(answers.map(({ ok }) => ok)).toEqual([true, false, false]);
  });

  test('says clearly that an event is too large', async () => {
    const event = started(freshRun(), task(0), 'a');
    const large = { ...event, kind: 'attempt-lost' as const, reason: 'x'.repeat(2_000_000) };
    await expect(new JetStreamRunLog(mesh).append(large, 0)).rejects.toThrow(MessageTooLargeError);
  });
});

describe('without its server', () => {
  test('appends wait for it, land once, and followers miss nothing', async () => {
    const run = freshRun();
    const log = new JetStreamRunLog(mesh, { answerMs: 1_000 });
    const [seen, end] = [[] as Logged[], new AbortController()];
    const total = 300;
    const following = (async () => {
      for await (const batch of new JetStreamRunLog(other).follow(run, 0, end.signal)) {
        seen.push(...batch);
        if (seen.length >= total) end.abort();
      }
    })();
    const append = (from: number, to: number) =>
      Promise.all(
        Array.from({ length: to - from }, (_, i) =>
          log.append(started(run, task(from + i), `claim-${from + i}`), 0),
        ),
      );
    await append(0, 100);
    const whileKilled = append(100, 200);
    await server.kill();
    const whileGone = append(200, 300);
    await server.run();
    const answers = [...(await whileKilled), ...(await whileGone)];
    expect(answers.every(({ ok }) => ok)).toBe(true);
    await following;
    const sequences = seen.map(({ sequence }) => sequence);
    expect(sequences).toEqual([...new Set(sequences)].sort((a, b) => a - b));
    expect(seen).toHaveLength(total);
    expect(await stored(run)).toEqual(seen);
  });

  test('an append gives up with a retryable error after its patience', async () => {
    const log = new JetStreamRunLog(mesh, { patienceMs: 500, answerMs: 200 });
    await server.kill();
    const failed = await log.append(started(freshRun(), task(0), 'a'), 0).catch((error) => error);
    await server.run();
    expect(failed).toBeInstanceOf(MeshSilentError);
    expect(failed).toMatchObject({ retryable: true });
  });

  test('a killed reader of the stream is replaced within seconds while the server stays', async () => {
    const run = freshRun();
    const log = new JetStreamRunLog(mesh);
    const end = new AbortController();
    const following = (async () => {
      for await (const batch of new JetStreamRunLog(other).follow(run, 0, end.signal)) {
        if (batch.some(({ event }) => 'task' in event && event.task === task(1))) end.abort();
        else {
          for await (const { name } of mesh.jsm.consumers.list(RUN_STREAM))
            await mesh.jsm.consumers.delete(RUN_STREAM, name);
          await log.append(started(run, task(1), 'b'), 0);
        }
      }
    })();
    await log.append(started(run, task(0), 'a'), 0);
    await following;
  });
});

describe('reading', () => {
  test('ends at once for a run that is not there', async () => {
    expect(await stored(freshRun())).toEqual([]);
  });

  test('follows from a sequence on, and ends with the signal', async () => {
    const [log, run] = [new JetStreamRunLog(mesh), freshRun()];
    const first = await log.append(started(run, task(0), 'a'), 0);
    await log.append(started(run, task(1), 'b'), 0);
    const end = new AbortController();
    const seen: Logged[] = [];
    for await (const batch of log.follow(run, first.ok ? first.value : 0, end.signal)) {
      seen.push(...batch);
      end.abort();
    }
    expect(seen.map(({ event }) => 'task' in event && event.task)).toEqual([task(1)]);
  });

  test('answers the newest event of a task', async () => {
    const [log, run] = [new JetStreamRunLog(mesh), freshRun()];
    expect(await log.lastOfTask(run, task(0))).toBeUndefined();
    const event = started(run, task(0), 'a');
    const answer = await log.append(event, 0);
    expect(await log.lastOfTask(run, task(0))).toMatchObject({
      event,
      sequence: answer.ok ? answer.value : 0,
    });
    expect(taskSubject(run, task(0))).toContain(':0');
  });

  test('lists runs with name, cancellation and end, oldest first', async () => {
    const log = new JetStreamRunLog(mesh);
    const [one, two, three] = [freshRun(), freshRun(), freshRun()];
    await log.append(published(one, 'Käse'), 0);
    await log.append(published(two), 0);
    const ended = {
      kind: 'run-ended' as const,
      run: one,
      state: 'succeeded' as const,
      counts: { succeeded: 3, cached: 0, failed: 0, skipped: 0, cancelled: 0 },
      record: 'sha256:x' as never,
    };
    const cancelled = new Promise((resolve) => {
      const end = new AbortController();
      void (async () => {
        for await (const run of new JetStreamRunLog(other).cancellations(end.signal)) {
          resolve([run, await new JetStreamRunLog(other).isOver(run)]);
          end.abort();
        }
      })();
    });
    await other.nc.flush();
    expect(await log.isOver(two)).toBe(false);
    await log.append({ kind: 'run-cancel-requested', run: two, by: 'me', reason: 'no' }, 0);
    await log.append(ended, 0);
    expect(await cancelled).toEqual([two, true]);
    const runs = (await log.runs()).filter(({ run }) => [one, two, three].includes(run));
    expect(runs).toMatchObject([
      {
        run: one,
        name: 'Käse',
        taskCount: 3,
        publisher: 'ö@host',
        cancelRequested: false,
        ended: { event: ended },
      },
      { run: two, cancelRequested: true },
    ]);
    expect(await log.isOver(one)).toBe(true);
  });
});
