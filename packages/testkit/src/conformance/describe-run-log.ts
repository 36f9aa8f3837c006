import type { RunLog } from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import {
  freshRun,
  sampleEnded,
  sampleFailed,
  sampleLost,
  samplePublished,
  sampleSpawned,
  sampleStarted,
  sampleSucceeded,
  sampleTask,
} from '../samples.ts';
import { all, type Bench, flat, type MakeBench, take, until, useBench, within } from './bench.ts';

type RunLogBench = Bench<{ readonly log: RunLog }>;
type Use = () => RunLogBench;

/** What every run log must do, whatever is behind it. */
export function describeRunLog(name: string, make: MakeBench<RunLogBench>): void {
  describe(`${name}: RunLog`, () => {
    const use = useBench(make);
    describe('append', () => {
      fences(use);
      repetitions(use);
    });
    describe('read and follow', () => {
      reads(use);
      follows(use);
    });
    describe('runs and cancellations', () => {
      lists(use);
      cancellations(use);
    });
  });
}

function fences(use: Use): void {
  it('stores a fact behind the last one its writer has seen', async () => {
    const { log } = use().ports;
    const started = sampleStarted(freshRun(), sampleTask());
    const first = await appended(log, started, 0);
    const second = await appended(log, sampleSucceeded(started), first);
    expect(second).toBeGreaterThan(first);
    const last = await use().other.log.lastOfTask(started.run, started.task);
    expect(last?.sequence).toBe(second);
    expect(last?.event.kind).toBe('attempt-succeeded');
    expect(Number.isNaN(Date.parse(last?.at ?? ''))).toBe(false);
  });

  it('knows nothing of a task without facts', async () => {
    expect(await use().ports.log.lastOfTask(freshRun(), sampleTask())).toBeUndefined();
  });

  it('refuses a stale writer, and stores nothing of it', async () => {
    const { ports, other } = use();
    const started = sampleStarted(freshRun(), sampleTask());
    const first = await appended(ports.log, started, 0);
    const failed = sampleFailed(started);
    const second = await appended(ports.log, failed, first);
    for (const stale of [0, first, second + 1_000]) {
      const refusal = await other.log.append(sampleSucceeded(started), stale);
      expect(refusal).toEqual({ ok: false, error: { kind: 'stale' } });
    }
    const facts = await all(flat(ports.log.read(started.run)));
    expect(facts.map(({ event }) => event)).toEqual([started, failed]);
  });

  it('has losses and the end of a run in one row: no run ends with a loss that nobody saw', async () => {
    const { ports, other } = use();
    const run = freshRun();
    const started = sampleStarted(run, sampleTask());
    const start = await appended(ports.log, started, 0);
    const success = await appended(ports.log, sampleSucceeded(started), start);
    const first = await appended(ports.log, sampleLost(started, 1), 0);
    expect(await other.log.isOver(run)).toBe(false);
    const ended = await other.log.append(sampleEnded(run), 0);
    expect(ended).toEqual({ ok: false, error: { kind: 'stale' } });
    expect(await appended(other.log, sampleLost(started, 1), 0)).toBe(first);
    // The same loss, told by who has seen another row: no repetition.
    const unseeing = await other.log.append(sampleLost(started, 1, first - 1), first - 1);
    expect(unseeing).toEqual({ ok: false, error: { kind: 'stale' } });
    // The task goes on where its success was.
    const again = sampleStarted(run, sampleTask(), 2);
    await appended(other.log, sampleSucceeded(again), await appended(ports.log, again, success));
    await appended(ports.log, sampleEnded(run), first);
    const late = await other.log.append(sampleLost(started, 2, first), first);
    expect(late).toEqual({ ok: false, error: { kind: 'stale' } });
    expect(await other.log.isOver(run)).toBe(true);
  });

  it('tells where outputs are kept behind their success', async () => {
    const { log } = use().ports;
    const started = sampleStarted(freshRun(), sampleTask());
    const { run, task, peer } = started;
    const success = await appended(log, sampleSucceeded(started), await appended(log, started, 0));
    const kept = { kind: 'outputs-kept', run, task, keepers: [peer], wanted: 2 } as const;
    const sequence = await appended(log, kept, success);
    expect(await log.lastOfTask(run, task)).toMatchObject({ event: kept, sequence });
  });

  it('fences every task by itself, and the facts of the run apart', async () => {
    const { log } = use().ports;
    const run = freshRun();
    await appended(log, samplePublished(run), 0);
    await appended(log, sampleStarted(run, sampleTask(1)), 0);
    await appended(log, sampleStarted(run, sampleTask(2)), 0);
    await appended(log, { kind: 'run-cancel-requested', run, by: 'me', reason: 'why' }, 0);
    await appended(log, sampleEnded(run), 0);
    const again = await log.append(sampleEnded(run, 2), 0);
    expect(again.ok).toBe(false);
  });

  it('lets exactly one of many racing writers win', async () => {
    const { ports, other } = use();
    const run = freshRun();
    const racers = Array.from({ length: 20 }, () => sampleStarted(run, sampleTask()));
    const results = await Promise.all(
      racers.map((event, index) => (index % 2 ? ports : other).log.append(event, 0)),
    );
    expect(results.filter((result) => result.ok)).toHaveLength(1);
    expect(await all(flat(ports.log.read(run)))).toHaveLength(1);
  });
}

function repetitions(use: Use): void {
  it('recognises its own append when it is repeated', async () => {
    const { ports, other } = use();
    const started = sampleStarted(freshRun(), sampleTask());
    const sequence = await appended(ports.log, started, 0);
    expect(await ports.log.append(started, 0)).toEqual({ ok: true, value: sequence });
    expect(await other.log.append(structuredClone(started), 0)).toEqual({
      ok: true,
      value: sequence,
    });
    expect(await all(flat(ports.log.read(started.run)))).toHaveLength(1);
  });

  it('does not take a similar append for a repetition', async () => {
    const { log } = use().ports;
    const started = sampleStarted(freshRun(), sampleTask());
    await appended(log, started, 0);
    expect((await log.append({ ...started, offerSequence: 2 }, 0)).ok).toBe(false);
  });
}

function reads(use: Use): void {
  it('reads all facts of one run in order, and ends', async () => {
    const { ports, other } = use();
    const run = freshRun();
    await appended(ports.log, samplePublished(run, 300), 0);
    await appended(other.log, samplePublished(freshRun()), 0);
    const tasks = Array.from({ length: 300 }, (_, index) => sampleTask(index));
    await Promise.all(tasks.map((task) => appended(ports.log, sampleStarted(run, task), 0)));
    const facts = await all(flat(other.log.read(run)));
    expect(facts).toHaveLength(301);
    expect(facts[0]?.event).toEqual(samplePublished(run, 300));
    const sequences = facts.map(({ sequence }) => sequence);
    expect(sequences).toEqual([...new Set(sequences)].sort((a, b) => a - b));
    expect(facts.every(({ event }) => event.run === run)).toBe(true);
  });

  it('fences what a task spawns by itself, and reads it in its place between the task’s own facts', async () => {
    const { log } = use().ports;
    const started = sampleStarted(freshRun(), sampleTask());
    const begun = await appended(log, started, 0);
    const spawned = sampleSpawned(started);
    const first = await appended(log, spawned, 0);
    const another = { ...spawned, key: 'another' };
    expect(await log.append(another, 0)).toEqual({ ok: false, error: { kind: 'stale' } });
    expect(await log.append(spawned, 0)).toEqual({ ok: true, value: first });
    const second = await appended(log, another, first);
    const ended = sampleFailed(started);
    const last = await appended(log, ended, begun);
    const facts = await all(flat(log.read(started.run)));
    expect(facts.map(({ event, sequence }) => [event, sequence])).toEqual([
      [started, begun],
      [spawned, first],
      [another, second],
      [ended, last],
    ]);
    expect((await log.lastOfTask(started.run, started.task))?.event).toEqual(ended);
  });

  it('reads nothing of an unknown run', async () => {
    expect(await all(flat(use().ports.log.read(freshRun())))).toEqual([]);
  });
}

function follows(use: Use): void {
  it('follows from the beginning: what is there, then what others append', async () => {
    const { ports, other } = use();
    const stop = new AbortController();
    const started = sampleStarted(freshRun(), sampleTask());
    const first = await appended(ports.log, started, 0);
    const facts = flat(ports.log.follow(started.run, 0, stop.signal));
    expect((await facts.next()).value).toMatchObject({ event: started, sequence: first });
    const next = facts.next();
    const failed = sampleFailed(started);
    const second = await appended(other.log, failed, first);
    expect((await within(use(), 1_000, next)).value).toMatchObject({
      event: failed,
      sequence: second,
    });
    const end = facts.next();
    stop.abort();
    expect((await within(use(), 1_000, end)).done).toBe(true);
  });

  it('follows after a sequence without gaps', async () => {
    const { ports, other } = use();
    const stop = new AbortController();
    const run = freshRun();
    const published = await appended(ports.log, samplePublished(run, 50), 0);
    const tasks = Array.from({ length: 50 }, (_, index) => sampleTask(index));
    const seen = take(flat(ports.log.follow(run, published, stop.signal)), 50);
    for (const task of tasks) await appended(other.log, sampleStarted(run, task), 0);
    const facts = await within(use(), 1_000, seen);
    expect(facts.map(({ event }) => 'task' in event && event.task)).toEqual(tasks);
    stop.abort();
  });

  it('gives nothing to a signal that has aborted', async () => {
    const { log } = use().ports;
    const run = freshRun();
    await appended(log, samplePublished(run), 0);
    expect(await all(log.follow(run, 0, AbortSignal.abort()))).toEqual([]);
  });
}

function lists(use: Use): void {
  it('lists runs, oldest first, with what became of them', async () => {
    const { ports, other } = use();
    const [first, second] = [freshRun(), freshRun()];
    await appended(ports.log, samplePublished(first, 3), 0);
    await appended(ports.log, samplePublished(second), 0);
    const by = { by: 'me', reason: 'why' };
    await appended(ports.log, { kind: 'run-cancel-requested', run: second, ...by }, 0);
    await appended(ports.log, sampleEnded(second), 0);
    const ours = (await other.log.runs()).filter(({ run }) => run === first || run === second);
    expect(ours).toMatchObject([
      { run: first, name: `sample ✓ ${first}`, taskCount: 3, cancelRequested: false },
      { run: second, publisher: 'somebody@here', cancelRequested: true },
    ]);
    expect(ours[0]).not.toHaveProperty('ended');
    expect(ours[1]?.ended?.event).toEqual(sampleEnded(second));
  });
}

function cancellations(use: Use): void {
  const cancel = (run = freshRun()) =>
    ({ kind: 'run-cancel-requested', run, by: 'me', reason: 'why' }) as const;

  it('hears of cancellations, sooner or later', async () => {
    const { ports, other } = use();
    const stop = new AbortController();
    const requested = new Set<string>();
    let heard: string | undefined;
    const hearing = take(ports.log.cancellations(stop.signal), 1).then(([run]) => {
      heard = run;
    });
    await until(use(), async () => {
      const event = cancel();
      requested.add(event.run);
      await appended(other.log, event, 0);
      return heard !== undefined;
    });
    await hearing;
    expect(requested.has(heard ?? '')).toBe(true);
    stop.abort();
  });

  it('knows which runs are over', async () => {
    const { ports, other } = use();
    const [cancelled, ended, open] = [freshRun(), freshRun(), freshRun()];
    for (const run of [cancelled, ended, open]) await appended(ports.log, samplePublished(run), 0);
    await appended(ports.log, cancel(cancelled), 0);
    await appended(ports.log, sampleEnded(ended), 0);
    expect(await other.log.isOver(cancelled)).toBe(true);
    expect(await other.log.isOver(ended)).toBe(true);
    expect(await other.log.isOver(open)).toBe(false);
    expect(await other.log.isOver(freshRun())).toBe(false);
  });
}

/** The sequence of an append that must succeed. */
async function appended(
  log: RunLog,
  event: Parameters<RunLog['append']>[0],
  expected: number,
): Promise<number> {
  const result = await log.append(event, expected);
  if (!result.ok) throw new Error(`${event.kind} was refused behind ${expected}`);
  return result.value;
}
