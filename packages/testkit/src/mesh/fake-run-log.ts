import type {
  Logged,
  Result,
  RunEvent,
  RunId,
  RunLog,
  RunSummary,
  Sequence,
  StaleAppend,
  TaskEvent,
  TaskId,
} from '@podmesh/core';
import type { FakeProcess } from '../process/fake-process.ts';
import { feed } from '../process/feed.ts';
import type { LogServer } from './log-server.ts';

/** Events of one batch at most; small enough that long logs come in several. */
const BATCH_EVENTS_MAX = 64;

/** The run log as one process sees it. */
export class FakeRunLog implements RunLog {
  private readonly process: FakeProcess;
  private readonly server: LogServer;

  constructor(process: FakeProcess, server: LogServer) {
    this.process = process;
    this.server = server;
  }

  append(event: RunEvent, expected: Sequence): Promise<Result<Sequence, StaleAppend>> {
    const subject = 'task' in event ? ` ${event.task}` : '';
    const label = `log.append ${event.run}${subject} ${event.kind} behind ${expected}`;
    return this.process.call(label, () => this.server.append(event, expected));
  }

  lastOfTask(run: RunId, task: TaskId): Promise<Logged<TaskEvent> | undefined> {
    return this.process.call(`log.last ${run} ${task}`, () => this.server.lastOfTask(run, task));
  }

  async *read(run: RunId, signal?: AbortSignal): AsyncGenerator<readonly Logged[]> {
    let end: number | undefined;
    for (let start = 0; end === undefined || start < end; start += BATCH_EVENTS_MAX) {
      if (signal?.aborted) return;
      const batch = await this.process.call(`log.read ${run} from ${start}`, () => {
        const events = this.server.eventsOf(run);
        end ??= events.length;
        return events.slice(start, Math.min(end, start + BATCH_EVENTS_MAX));
      });
      if (batch.length > 0) yield batch;
    }
  }

  async *follow(
    run: RunId,
    after: Sequence,
    signal: AbortSignal,
  ): AsyncGenerator<readonly Logged[]> {
    let position = this.server.eventsOf(run).findIndex((fact) => fact.sequence > after);
    if (position < 0) position = this.server.eventsOf(run).length;
    const next = () => {
      const batch = this.server.eventsOf(run).slice(position, position + BATCH_EVENTS_MAX);
      position += batch.length;
      return batch.length > 0 ? batch : undefined;
    };
    const topic = this.server.topicOf(run);
    yield* feed(this.process, { label: `log.follow ${run}`, topic, next, silence: true }, signal);
  }

  runs(): Promise<readonly RunSummary[]> {
    return this.process.call('log.runs', () => this.server.runs());
  }

  async *cancellations(signal: AbortSignal): AsyncGenerator<RunId> {
    const { cancelled: topic, cancelledRuns } = this.server;
    let position = cancelledRuns.length;
    const next = () => {
      const run = cancelledRuns[position];
      if (run !== undefined) position += 1;
      return run;
    };
    yield* feed(this.process, { label: 'log.cancellations', topic, next, lossy: true }, signal);
  }

  isOver(run: RunId): Promise<boolean> {
    return this.process.call(`log.over ${run}`, () => this.server.isOver(run));
  }
}
