import { parseGraph } from '../graph/parse-graph.ts';
import type { Logged } from '../ports.ts';
import { artifactId, claimId, peerId, type RunId, runId, sessionId, taskId } from '../words/ids.ts';
import { assert } from '../words/unreachable.ts';
import { applyEvent } from './apply-event.ts';
import type { FailureKind } from './failure-kind.ts';
import type { Failure, RunEvent, TaskResult } from './run-event.ts';
import { initialRunState, type RunState } from './run-state.ts';
import type { TaskState } from './task-state.ts';

/** For the tests of this folder: a digest of the text's length and ends, good enough to tell things apart. */
export const fakeSha256 = (text: string): string => {
  let hash = 0;
  for (let at = 0; at < text.length; at += 1) hash = (hash * 31 + text.charCodeAt(at)) | 0;
  return (hash >>> 0).toString(16).padStart(8, '0').repeat(8);
};

export const RUN: RunId = runId('abcdefghij12');

export const digestOf = (text: string) => artifactId(`sha256:${fakeSha256(text)}`);

/** A run of one document, told event by event as a test wants it. */
export class RunFixture {
  readonly state: RunState;
  #sequence = 0;

  constructor(jobs: readonly object[]) {
    const named = jobs.map((job) => ({ container: 'localhost/tool:1', ...job }));
    const graph = parseGraph({ version: 1, jobs: named }, fakeSha256);
    assert(graph.ok, JSON.stringify(graph));
    this.state = initialRunState(graph.value);
  }

  tell(event: RunEvent): void {
    applyEvent(this.state, this.log(event));
  }

  log(event: RunEvent): Logged {
    this.#sequence += 1;
    return { event, sequence: this.#sequence, at: '2026-01-01T00:00:00Z' };
  }

  start(task: string, attempt = 1, peer = 'p1'): void {
    this.tell({
      kind: 'attempt-started',
      run: RUN,
      task: taskId(task),
      attempt,
      peer: peerId(peer),
      session: sessionId(`${peer}-session`),
      claim: claimId(`${task.replace(':', '_')}-${attempt}`),
      offerSequence: attempt,
    });
  }

  succeed(task: string, attempt = 1): void {
    this.tell({
      kind: 'attempt-succeeded',
      run: RUN,
      task: taskId(task),
      attempt,
      claim: claimId(`${task.replace(':', '_')}-${attempt}`),
      action: `sha256:${fakeSha256(task)}` as never,
      result: resultOf(task),
    });
  }

  fail(task: string, kind: FailureKind, attempt = 1): void {
    this.failWith(task, { kind, message: `${task} had ${kind}` }, attempt);
  }

  failWith(task: string, failure: Failure, attempt = 1): void {
    this.tell({
      kind: 'attempt-failed',
      run: RUN,
      task: taskId(task),
      attempt,
      claim: claimId(`${task.replace(':', '_')}-${attempt}`),
      failure,
    });
  }

  lose(task: string, attempt = 1, peer = 'p1'): void {
    this.tell({
      kind: 'attempt-lost',
      run: RUN,
      task: taskId(task),
      attempt,
      claim: claimId(`${task.replace(':', '_')}-${attempt}`),
      peer: peerId(peer),
      reason: 'gone',
    });
  }

  /** The attempt could not get these of its inputs: output `out` of other tasks. */
  miss(task: string, producers: readonly string[], attempt = 1): void {
    const missing = producers.map((producer) => digestOf(`${producer}/out`));
    const inputs = Object.fromEntries(missing.map((one, at) => [`in${at}`, one]));
    const failure = { kind: 'input-missing', message: 'gone', inputs, missing } as const;
    this.failWith(task, failure, attempt);
  }

  /** Nobody has what the task left. */
  loseOutputs(task: string, rerun = 1): void {
    const artifacts = [digestOf(`${task}/out`)];
    const behind = this.state.lossSequence;
    this.tell({ kind: 'outputs-lost', run: RUN, task: taskId(task), artifacts, rerun, behind });
  }

  keep(task: string, short?: string): void {
    const keepers = [peerId('p1'), peerId('p2')];
    const told = short === undefined ? {} : { short };
    this.tell({
      kind: 'outputs-kept',
      run: RUN,
      task: taskId(task),
      keepers,
      wanted: 2,
      ...told,
    });
  }

  cancel(): void {
    this.tell({ kind: 'run-cancel-requested', run: RUN, by: 'me', reason: 'why' });
  }

  fence(task: string): void {
    this.tell({ kind: 'task-cancelled', run: RUN, task: taskId(task) });
  }

  run(task: string, attempt = 1): void {
    this.start(task, attempt);
    this.succeed(task, attempt);
  }

  task(id: string): TaskState {
    const number = this.state.index.numberOf(taskId(id));
    const found = number === undefined ? undefined : this.state.tasks[number];
    assert(found !== undefined, `no task ${id}`);
    return found;
  }

  kinds(): Record<string, TaskState['kind']> {
    return Object.fromEntries(
      this.state.tasks.map((task, number) => [this.state.index.idOf(number), task.kind]),
    );
  }
}

/** A result whose outputs `out` and `dir` are named after the task. */
export function resultOf(task: string): TaskResult {
  return {
    inputs: {},
    outputs: {
      out: { digest: digestOf(`${task}/out`), kind: 'file', bytes: 3 },
      dir: { digest: digestOf(`${task}/dir`), kind: 'dir', bytes: 4 },
    },
    exit: { code: 0, startedAt: 'a', finishedAt: 'b' },
    usage: { wallMs: 1 },
    log: { digest: digestOf(`${task}/log`), bytes: 1, truncated: false },
    machine: {
      hostname: 'h',
      kernel: 'k',
      arch: 'amd64',
      os: 'o',
      cpuModel: 'c',
      cores: 2,
      memoryBytes: 3,
      podmanVersion: '4',
    },
    peer: peerId('p1'),
    image: `sha256:${fakeSha256('image')}`,
  };
}
