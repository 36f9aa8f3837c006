import { parseGraph, peerId, type Sequence, type TaskReleased, taskId } from '@podmesh/core';
import {
  DirectProcess,
  FakeMesh,
  freshRun,
  samplePublished,
  sampleStarted,
  VirtualClock,
} from '@podmesh/testkit';
import { pino } from 'pino';
import { beforeEach, describe, expect, it } from 'vitest';
import { sha256 } from '../store/local-task-files.ts';
import { ReleaseDesk } from './release-desk.ts';

const TASK = taskId('wash');

describe('the desk that releases tasks for users', () => {
  const run = freshRun();
  let log: ReturnType<FakeMesh['portsFor']>['log'];
  let reads: number;
  let desk: ReleaseDesk;
  let last: Sequence;

  const release: TaskReleased = { kind: 'task-released', run, task: TASK, by: 'ann@desk' };

  /** One attempt whose peer vanished. */
  async function lose(attempt: number, peer: string): Promise<void> {
    const started = { ...sampleStarted(run, TASK, attempt), peer: peerId(peer) };
    const began = await log.append(started, last);
    if (!began.ok) throw new Error('the attempt did not begin');
    const { claim } = started;
    const where = { run, task: TASK, attempt, claim, peer: started.peer };
    const lost = { kind: 'attempt-lost', ...where, reason: 'it vanished' } as const;
    const ended = await log.append(lost, began.value);
    if (!ended.ok) throw new Error('the attempt did not end');
    last = ended.value;
  }

  beforeEach(async () => {
    const clock = new VirtualClock();
    const ports = new FakeMesh(clock).portsFor(new DirectProcess('desk', clock));
    log = ports.log;
    reads = 0;
    last = 0;
    const jobs = [{ id: 'wash', container: 'localhost/tool:1' }];
    const graph = parseGraph({ version: 1, jobs }, sha256);
    if (!graph.ok) throw new Error('no graph');
    const read: typeof log.read = (...words) => {
      reads += 1;
      return log.read(...words);
    };
    desk = new ReleaseDesk({
      mesh: { serveReleases: async () => undefined },
      log: { append: (event, expected) => log.append(event, expected), read },
      loadGraph: async () => graph.value,
      logger: pino({ level: 'silent' }),
    });
    await log.append(samplePublished(run), 0);
  });

  it('writes that a task which is held is released', async () => {
    await lose(1, 'one');
    await lose(2, 'two');
    expect(await desk.release(release, last)).toMatchObject({ ok: true });
    expect((await log.lastOfTask(run, TASK))?.event).toEqual(release);
  });

  it('writes nothing of a task that is not held', async () => {
    await lose(1, 'one');
    expect(await desk.release(release, last)).toEqual({ ok: false, error: { kind: 'stale' } });
    expect((await log.lastOfTask(run, TASK))?.event.kind).toBe('attempt-lost');
  });

  it('writes nothing for somebody who saw it held by another loss', async () => {
    await lose(1, 'one');
    await lose(2, 'two');
    expect(await desk.release(release, last - 1)).toMatchObject({ ok: false });
    expect((await log.lastOfTask(run, TASK))?.event.kind).toBe('attempt-lost');
  });

  it('writes nothing of a task that the run does not have', async () => {
    const other = { ...release, task: taskId('dry') };
    expect(await desk.release(other, 0)).toMatchObject({ ok: false });
  });

  it('says so when there is no such run', async () => {
    const other = { ...release, run: freshRun() };
    await expect(desk.release(other, 1)).rejects.toThrow(`there is no run ${other.run}`);
  });

  it('gives who asks twice one answer, and reads the log once for it', async () => {
    await lose(1, 'one');
    await lose(2, 'two');
    const first = await desk.release(release, last);
    expect(await desk.release(release, last)).toEqual(first);
    expect(reads).toBe(1);
  });
});
