import {
  type ActionDigest,
  type ArtifactId,
  type AttemptStarted,
  actionDigest,
  type ClaimId,
  claimId,
  type LaneId,
  laneId,
  type Offer,
  type PeerEntry,
  peerId,
  type Requirements,
  type RunEvent,
  type RunId,
  runId,
  sessionId,
  type TaskId,
  type TaskResult,
  taskId,
} from '@podmesh/core';

let runs = 0;

/** A run id nobody has used in this process. */
export const freshRun = (): RunId => runId(`run${(++runs).toString().padStart(9, '0')}`);
export const task = (index: number): TaskId => taskId(`job:${index}`);
export const lane = (index: number): LaneId => laneId(index.toString(16).padStart(16, '0'));
export const claim = (text: string): ClaimId => claimId(text);
export const digest = (index: number): ArtifactId =>
  `sha256:${index.toString(16).padStart(64, '0')}` as ArtifactId;
export const action = (index: number): ActionDigest =>
  actionDigest(`sha256:${index.toString(16).padStart(64, '0')}`);

export const started = (run: RunId, of: TaskId, claimed: string): AttemptStarted => ({
  kind: 'attempt-started',
  run,
  task: of,
  attempt: 1,
  peer: peerId('peer-1'),
  session: sessionId('session-1'),
  claim: claim(claimed),
  offerSequence: 7,
});

export const published = (run: RunId, name?: string): RunEvent => ({
  kind: 'run-published',
  run,
  ...(name === undefined ? {} : { name }),
  graph: { kind: 'artifact', artifact: digest(1) },
  taskCount: 3,
  publisher: 'ö@host',
});

export const requirements: Requirements = {
  cpus: 1,
  memoryBytes: 1024,
  diskBytes: 1024,
  gpus: 0,
  labels: [],
};

export const offer = (run: RunId, of: TaskId, inLane: LaneId): Offer => ({
  run,
  task: of,
  lane: inLane,
  attempt: 1,
  sequence: 0,
  image: { kind: 'reference', reference: 'localhost/a:1' },
  env: {},
  inputs: {},
  outputs: {},
  net: false,
  requirements,
  timeoutMs: 1000,
  avoid: [],
  cache: true,
});

const machine = {
  hostname: 'h',
  kernel: 'k',
  arch: 'amd64',
  os: 'linux',
  cpuModel: 'c',
  cores: 2,
  memoryBytes: 1,
  podmanVersion: '5',
};

export const result: TaskResult = {
  inputs: {},
  outputs: {},
  exit: { code: 0, startedAt: '2026-01-01T00:00:00Z', finishedAt: '2026-01-01T00:00:01Z' },
  usage: { wallMs: 1 },
  log: { digest: digest(2), bytes: 1, truncated: false },
  machine,
  peer: peerId('peer-1'),
  image: 'sha256:abc',
};

const capacity = { cpus: 2, memoryBytes: 1, diskBytes: 1, gpus: 0 };

export const entry = (name: string): PeerEntry => ({
  peer: peerId(name),
  session: sessionId('s'),
  version: '0.1.0',
  machine,
  hardware: { cpuFlags: [], gpus: [], battery: false },
  labels: [],
  capacity,
  free: capacity,
  claims: [],
  driving: 0,
  images: {},
  limits: { memory: 'kernel', cpus: 'kernel', pids: 'kernel', disk: 'watched' },
  runtimes: ['podman'],
});
