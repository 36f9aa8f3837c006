import { createHash } from 'node:crypto';
import {
  type ArtifactId,
  type ArtifactRef,
  type AttemptFailed,
  type AttemptLost,
  type AttemptStarted,
  type AttemptSucceeded,
  actionDigest,
  applyEvent,
  artifactId,
  claimId,
  type Failure,
  type Graph,
  initialRunState,
  type Logged,
  type Machine,
  type PeerEntry,
  parseGraph,
  peerId,
  type RunEvent,
  type RunPublished,
  type RunState,
  runId,
  sessionId,
  type TaskEvent,
  type TaskResult,
  taskId,
} from '@podmesh/core';
import { sha256 } from './document/check-document.ts';

export const RUN = runId('abcdefghijkl');

export const MACHINE: Machine = {
  hostname: 'oak',
  kernel: '6.1',
  arch: 'amd64',
  os: 'linux',
  cpuModel: 'a processor',
  cores: 4,
  memoryBytes: 8 * 1024 ** 3,
  podmanVersion: '5.0',
};

/** The graph of a document that must be right. */
export function graphOf(jobs: readonly object[], name?: string): Graph {
  const document = {
    version: 1,
    ...(name === undefined ? {} : { name }),
    jobs: jobs.map((job) => ({ container: 'localhost/a:1', ...job })),
  };
  const parsed = parseGraph(document, sha256);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.error));
  return parsed.value;
}

export function published(graph: Graph): RunPublished {
  return {
    kind: 'run-published',
    run: RUN,
    ...(graph.name === undefined ? {} : { name: graph.name }),
    graph: { kind: 'inline', graph },
    taskCount: graph.jobs.reduce((sum, { count = 1 }) => sum + count, 0),
    publisher: 'me@here',
  };
}

export function started(task: string, attempt = 1, peer = 'oak'): AttemptStarted {
  return {
    kind: 'attempt-started',
    run: RUN,
    task: taskId(task),
    attempt,
    peer: peerId(peer),
    session: sessionId('s'),
    claim: claimId(`c${attempt}`),
    offerSequence: 1,
  };
}

/** The peer vanished. */
export function lost(task: string, attempt = 1, peer = 'oak'): AttemptLost {
  const { run, claim } = started(task, attempt);
  const reason = 'its claim passed on';
  return {
    kind: 'attempt-lost',
    run,
    task: taskId(task),
    attempt,
    claim,
    peer: peerId(peer),
    reason,
  };
}

/** Two attempts that took down two peers: the task is held. */
export function takesDownTwo(task: string, first = 1): readonly TaskEvent[] {
  return [
    started(task, first, 'oak'),
    lost(task, first, 'oak'),
    started(task, first + 1, 'fir'),
    lost(task, first + 1, 'fir'),
  ];
}

export function succeeded(task: string, result: Partial<TaskResult> = {}): AttemptSucceeded {
  return {
    kind: 'attempt-succeeded',
    run: RUN,
    task: taskId(task),
    attempt: 1,
    claim: claimId('c1'),
    action: actionDigest(`sha256:${'a'.repeat(64)}`),
    result: { ...RESULT, ...result },
  };
}

export function failed(task: string, failure: Partial<Failure> = {}, attempt = 1): AttemptFailed {
  return {
    kind: 'attempt-failed',
    run: RUN,
    task: taskId(task),
    attempt,
    claim: claimId(`c${attempt}`),
    failure: { kind: 'exit', message: 'the command exited with 3', ...failure },
  };
}

/** What bytes are called. */
export function refOf(text: string): ArtifactRef {
  const digest = artifactId(`sha256:${createHash('sha256').update(text).digest('hex')}`);
  return { digest, kind: 'file', bytes: Buffer.byteLength(text) };
}

export const digestOf = (text: string): ArtifactId => refOf(text).digest;

export const RESULT: TaskResult = {
  inputs: {},
  outputs: {},
  exit: { code: 0, startedAt: '2026-01-01T00:00:00Z', finishedAt: '2026-01-01T00:00:01Z' },
  usage: { wallMs: 400 },
  log: { digest: digestOf('log\n'), bytes: 4, truncated: false },
  machine: MACHINE,
  peer: peerId('oak'),
  image: `sha256:${'b'.repeat(64)}`,
};

/** What the events make of the graph. */
export function stateOf(graph: Graph, events: readonly RunEvent[]): RunState {
  const state = initialRunState(graph);
  for (const logged of asLogged(events)) applyEvent(state, logged);
  return state;
}

export function asLogged(events: readonly RunEvent[]): readonly Logged[] {
  return events.map((event, position) => ({
    event,
    sequence: position + 1,
    at: `2026-01-01T00:00:${String(position).padStart(2, '0')}Z`,
  }));
}

export function peerEntry(name: string, changes: Partial<PeerEntry> = {}): PeerEntry {
  const capacity = { cpus: 4, memoryBytes: 8 * 1024 ** 3, diskBytes: 100 * 1024 ** 3, gpus: 0 };
  return {
    peer: peerId(name),
    session: sessionId('s'),
    version: '0.1.0',
    machine: MACHINE,
    hardware: { cpuFlags: [], gpus: [], battery: false },
    labels: [],
    capacity,
    free: capacity,
    claims: [],
    driving: 0,
    images: {},
    limits: { memory: 'kernel', cpus: 'kernel', pids: 'kernel', disk: 'watched' },
    runtimes: ['podman'],
    ...changes,
  };
}
