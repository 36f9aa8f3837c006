import {
  canonicalJson,
  type InputPinned,
  type Logged,
  ok,
  type Result,
  type RunEvent,
  type RunId,
  type RunSummary,
  refused,
  type Sequence,
  type StaleAppend,
  type TaskEvent,
  type TaskId,
} from '@podmesh/core';
import { Topic } from '../process/topic.ts';
import { wallTime } from './wall-time.ts';

/** What the run log's stream holds: one global sequence, fenced per subject. */
export class LogServer {
  /** All facts of all runs in the order of the stream. */
  readonly entries: Logged[] = [];
  /** Told when a cancellation was stored. */
  readonly cancelled = new Topic();
  readonly cancelledRuns: RunId[] = [];
  private readonly bySubject = new Map<string, Logged[]>();
  private readonly byRun = new Map<RunId, Logged[]>();
  private readonly topics = new Map<RunId, Topic>();
  private readonly nowMs: () => number;

  constructor(nowMs: () => number) {
    this.nowMs = nowMs;
  }

  /**
   * Compare-and-append. A stale append that equals the subject's last event is a repetition that had
   * landed before. Once another event followed it is stale like any other: the real adapter does not
   * look further back either.
   */
  append(event: RunEvent, expected: Sequence): Result<Sequence, StaleAppend> {
    const subject = subjectOf(event);
    const last = this.bySubject.get(subject)?.at(-1);
    if ((last?.sequence ?? 0) === expected) return ok(this.store(subject, event));
    const same = last !== undefined && canonicalJson(last.event) === canonicalJson(event);
    return same ? ok(last.sequence) : refused({ kind: 'stale' });
  }

  lastOfTask(run: RunId, task: TaskId): Logged<TaskEvent> | undefined {
    const last = this.bySubject.get(`${run}.task.${task}`)?.at(-1);
    return last as Logged<TaskEvent> | undefined;
  }

  /** What a source was pinned to. */
  pinOf(run: RunId, source: string): InputPinned | undefined {
    const event = this.bySubject.get(`${run}.pin.${source}`)?.at(-1)?.event;
    return event?.kind === 'input-pinned' ? event : undefined;
  }

  eventsOf(run: RunId): readonly Logged[] {
    return this.byRun.get(run) ?? [];
  }

  /** Told when something was appended to the run. */
  topicOf(run: RunId): Topic {
    let topic = this.topics.get(run);
    if (topic === undefined) {
      topic = new Topic();
      this.topics.set(run, topic);
    }
    return topic;
  }

  runs(): readonly RunSummary[] {
    const summaries = [...this.byRun.values()].map(summaryOf);
    return summaries.filter((summary) => summary !== undefined);
  }

  /** Nothing of it may start any more. */
  isOver(run: RunId): boolean {
    const end = this.bySubject.get(`${run}.end`)?.at(-1);
    return this.bySubject.has(`${run}.control`) || end?.event.kind === 'run-ended';
  }

  private store(subject: string, event: RunEvent): Sequence {
    const stored = JSON.parse(JSON.stringify(event)) as RunEvent;
    const sequence = this.entries.length + 1;
    const entry: Logged = { event: stored, sequence, at: wallTime(this.nowMs()) };
    this.entries.push(entry);
    pushTo(this.bySubject, subject, entry);
    pushTo(this.byRun, event.run, entry);
    this.topics.get(event.run)?.notify();
    if (event.kind === 'run-cancel-requested') {
      this.cancelledRuns.push(event.run);
      this.cancelled.notify();
    }
    return sequence;
  }
}

function subjectOf(event: RunEvent): string {
  switch (event.kind) {
    case 'run-published':
      return `${event.run}.graph`;
    case 'run-cancel-requested':
      return `${event.run}.control`;
    case 'tasks-spawned':
    case 'sub-tasks-dropped':
    case 'budget-spent':
      return `${event.run}.spawn.${event.parent}`;
    case 'run-ended':
    case 'outputs-lost':
      return `${event.run}.end`;
    case 'input-pinned':
      return `${event.run}.pin.${event.source}`;
    default:
      return `${event.run}.task.${event.task}`;
  }
}

function pushTo<K, V>(lists: Map<K, V[]>, key: K, value: V): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
}

function summaryOf(facts: readonly Logged[]): RunSummary | undefined {
  const first = facts.find((fact) => fact.event.kind === 'run-published');
  if (first?.event.kind !== 'run-published') return undefined;
  const end = facts.findLast((fact) => fact.event.kind === 'run-ended');
  const { run, name, taskCount, publisher } = first.event;
  return {
    run,
    ...(name === undefined ? {} : { name }),
    taskCount,
    publisher,
    publishedAt: first.at,
    cancelRequested: facts.some((fact) => fact.event.kind === 'run-cancel-requested'),
    ...(end?.event.kind === 'run-ended' ? { ended: { event: end.event, at: end.at } } : {}),
  };
}
