import { createHash, randomBytes } from 'node:crypto';
import {
  type ActionDigest,
  type ArtifactRef,
  type AttemptFailed,
  type AttemptStarted,
  type AttemptSucceeded,
  actionDigest,
  artifactId,
  claimId,
  EMPTY_ARTIFACT,
  type LaneId,
  laneId,
  type Machine,
  type Offer,
  type OutputsLost,
  type PeerEntry,
  peerId,
  type Requirements,
  type RunEnded,
  type RunId,
  type RunPublished,
  runId,
  sessionId,
  type TaskId,
  type TaskResult,
  type TasksSpawned,
  taskId,
} from '@podmesh/core';

/** Values that look like real ones. Ids are random, so that tests may share a server. */

export const freshRun = (): RunId => runId(randomText(12));
export const freshLane = (): LaneId => laneId(randomBytes(8).toString('hex'));
export const sampleTask = (index = 0): TaskId => taskId(`job:${index}`);
export const freshAction = (): ActionDigest =>
  actionDigest(`sha256:${randomBytes(32).toString('hex')}`);

function randomText(length: number): string {
  return randomBytes(length).toString('hex').slice(0, length);
}

export const SMALL: Requirements = {
  cpus: 1,
  memoryBytes: 64 * 1024 * 1024,
  diskBytes: 0,
  gpus: 0,
  labels: [],
};

export function samplePublished(run: RunId, taskCount = 1): RunPublished {
  return {
    kind: 'run-published',
    run,
    name: `sample ✓ ${run}`,
    graph: { kind: 'inline', graph: { version: 1, jobs: [] } },
    taskCount,
    publisher: 'somebody@here',
  };
}

export function sampleEnded(run: RunId, succeeded = 1): RunEnded {
  return {
    kind: 'run-ended',
    run,
    state: 'succeeded',
    counts: { succeeded, cached: 0, failed: 0, skipped: 0, cancelled: 0 },
    record: EMPTY_ARTIFACT,
  };
}

export function sampleStarted(run: RunId, task: TaskId, attempt = 1): AttemptStarted {
  return {
    kind: 'attempt-started',
    run,
    task,
    attempt,
    peer: peerId('peer-a'),
    session: sessionId('session-a'),
    claim: claimId(randomText(16)),
    offerSequence: 1,
  };
}

export function sampleSucceeded(
  started: AttemptStarted,
  action: ActionDigest = freshAction(),
): AttemptSucceeded {
  const { run, task, attempt, claim } = started;
  return { kind: 'attempt-succeeded', run, task, attempt, claim, action, result: sampleResult() };
}

export function sampleFailed(started: AttemptStarted): AttemptFailed {
  const { run, task, attempt, claim } = started;
  const failure = { kind: 'exit', message: 'it ended with exit code 1' } as const;
  return { kind: 'attempt-failed', run, task, attempt, claim, failure };
}

/** The attempt asks for more jobs. */
export function sampleSpawned({ run, task, attempt, claim }: AttemptStarted): TasksSpawned {
  return { kind: 'tasks-spawned', run, parent: task, attempt, claim, key: 'läuft', jobs: [] };
}

/** Nobody has what the attempt left. */
export function sampleLost({ run, task }: AttemptStarted, rerun: number, behind = 0): OutputsLost {
  return { kind: 'outputs-lost', run, task, artifacts: [EMPTY_ARTIFACT], rerun, behind };
}

export function sampleResult(wallMs = 12): TaskResult {
  return {
    inputs: {},
    outputs: { out1: { digest: EMPTY_ARTIFACT, kind: 'file', bytes: 0 } },
    exit: {
      code: 0,
      startedAt: '2026-01-01T00:00:00.000Z',
      finishedAt: '2026-01-01T00:00:01.000Z',
    },
    usage: { wallMs },
    log: { digest: EMPTY_ARTIFACT, bytes: 0, truncated: false },
    machine: SAMPLE_MACHINE,
    peer: peerId('peer-a'),
    image: EMPTY_ARTIFACT,
  };
}

export const SAMPLE_MACHINE: Machine = {
  hostname: 'here',
  kernel: '6.1.0',
  arch: 'amd64',
  os: 'linux',
  cpuModel: 'a model',
  cores: 4,
  memoryBytes: 8 * 1024 ** 3,
  podmanVersion: '5.4.2',
};

export function sampleOffer(run: RunId, lane: LaneId, index = 0): Offer {
  return {
    run,
    task: sampleTask(index),
    lane,
    attempt: 1,
    sequence: 0,
    image: { kind: 'reference', reference: 'localhost/tool:1' },
    command: ['true'],
    env: { NAME: 'value' },
    inputs: {},
    outputs: { out1: { kind: 'file', path: '/out' } },
    net: false,
    requirements: SMALL,
    timeoutMs: 60_000,
    avoid: [],
    cache: true,
  };
}

export function samplePeer(name = `peer-${randomText(6)}`): PeerEntry {
  const capacity = { cpus: 4, memoryBytes: 1024 ** 3, diskBytes: 1024 ** 3, gpus: 0 };
  return {
    peer: peerId(name),
    session: sessionId(`${name}-1`),
    version: '0.1.0',
    machine: SAMPLE_MACHINE,
    hardware: { cpuFlags: ['avx2'], gpus: [], battery: false },
    labels: ['room=kitchen'],
    capacity,
    free: capacity,
    claims: [],
    driving: 0,
    images: {},
    limits: { memory: 'kernel', cpus: 'kernel', pids: 'kernel', disk: 'watched' },
    runtimes: ['podman'],
  };
}

/** Bytes and the reference under which they are stored. */
export interface SampleArtifact {
  readonly ref: ArtifactRef;
  readonly bytes: Uint8Array;
}

export function sampleArtifact(bytes: Uint8Array, kind: ArtifactRef['kind'] = 'file') {
  const digest = artifactId(`sha256:${createHash('sha256').update(bytes).digest('hex')}`);
  return { ref: { digest, kind, bytes: bytes.length }, bytes } satisfies SampleArtifact;
}

/** The bytes in pieces of `size`. */
export async function* inPieces(bytes: Uint8Array, size = 64 * 1024): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += size) yield bytes.slice(start, start + size);
}
