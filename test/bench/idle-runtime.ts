import type {
  ContainerExit,
  ContainerRuntime,
  ContainerSpec,
  LogSink,
  RunningContainer,
} from '@podmesh/core';
import { EMPTY_ARTIFACT, ok } from '@podmesh/core';
import type { AttemptJournal, TaskFiles } from '@podmesh/daemon';

/** A machine whose containers do nothing and cost nothing: what is left to measure is podmesh itself. */
export const idleRuntime: ContainerRuntime = {
  describe: async () => ({
    name: 'podman',
    version: '0',
    rootless: true,
    ociRuntime: 'none',
    storageDriver: 'none',
    cgroupVersion: 'none',
    limits: { memory: 'watched', cpus: 'none', pids: 'watched', disk: 'watched' },
    runtimes: ['podman'],
    arch: 'amd64',
  }),
  images: async () => new Map(),
  resolveImage: async () => ok(`sha256:${'1'.repeat(64)}`),
  loadImage: async () => ok(`sha256:${'1'.repeat(64)}`),
  start: async (spec: ContainerSpec, _log: LogSink) => ok(idleContainer(spec)),
  leftovers: async () => [],
  probe: async () => undefined,
};

function idleContainer({ labels }: ContainerSpec): RunningContainer {
  const at = new Date(0).toISOString();
  const exit: ContainerExit = {
    code: 0,
    oomKilled: false,
    startedAt: at,
    finishedAt: at,
    wallMs: 0,
  };
  return {
    labels,
    replays: 'all',
    replayLog: () => undefined,
    wait: async () => exit,
    stop: async () => undefined,
    readOutput: async () => {
      throw new Error('an idle container leaves nothing behind');
    },
    sample: async () => ({}),
    remove: async () => undefined,
  };
}

const noLog: ReturnType<TaskFiles['openLog']> = {
  write: () => undefined,
  store: async () => ({ digest: EMPTY_ARTIFACT, bytes: 0, truncated: false }),
  stderrTail: () => '',
  discard: async () => undefined,
};

/** Files of tasks that read and write none. */
export const noFiles: TaskFiles = {
  input: async () => '/dev/null',
  storeOutput: async () => ({ digest: EMPTY_ARTIFACT, kind: 'file', bytes: 0 }),
  scratch: () => '/dev/null',
  release: async () => undefined,
  openLog: () => noLog,
  reopenLog: async () => noLog,
};

export const noJournal: AttemptJournal = {
  write: async () => undefined,
  noteStarted: async () => undefined,
  remove: async () => undefined,
  list: async () => [],
};
