import type { ContainerRuntime, PeerId, RuntimeName } from '@podmesh/core';
import { unreachable } from '@podmesh/core';
import { CrunUnavailableError } from './crun/crun-errors.ts';
import { CrunRuntime } from './crun/crun-runtime.ts';
import { openRetiredLane } from './crun/retired-lane.ts';
import type { Env } from './find-socket.ts';
import { PodmanRuntime } from './podman-runtime.ts';
import { RuntimeChoice } from './runtime-choice.ts';

export interface RuntimeOptions {
  readonly socketPath: string;
  readonly env: Env;
  /** Private to one daemon: where the fast lane keeps its containers. */
  readonly directory: string;
  readonly peer: PeerId;
  /** `auto`: the fast lane where it works, and Podman where not. */
  readonly choice: RuntimeName | 'auto';
  readonly busyboxPath?: string;
}

export interface OpenedRuntime {
  readonly runtime: ContainerRuntime;
  /** Why there is no fast lane, when it was wanted; says what to do. */
  readonly crunProblem?: string;
  /** Why containers that an earlier daemon had left in the fast lane were ended. */
  readonly endedProblem?: string;
  /** Lets go of everything; containers run on. */
  close(): Promise<void>;
}

/**
 * The runtimes of this machine, the fast lane only after a canary came back from it. Where it is not
 * used, containers that an earlier daemon left in it are still found. Throws `CrunUnavailableError`
 * when that lane was asked for by name and does not work.
 */
export async function openRuntime(options: RuntimeOptions): Promise<OpenedRuntime> {
  const podman = new PodmanRuntime(options);
  if (options.choice === 'podman') return await onlyPodman(podman, options);
  try {
    const crun = await openProvenCrun(podman, options);
    const runtime = new RuntimeChoice(crun, [podman]);
    return { runtime, close: closeBoth(podman, crun) };
  } catch (error) {
    const crunProblem = messageOf(error);
    if (options.choice === 'auto') return { ...(await onlyPodman(podman, options)), crunProblem };
    podman.close();
    const message = `the fast lane does not work on this machine: ${crunProblem}`;
    throw new CrunUnavailableError(message, error);
  }
}

/** With crun's own compiled filters, or, where this crun does not take them, the slower way. */
async function openProvenCrun(
  podman: PodmanRuntime,
  options: RuntimeOptions,
): Promise<CrunRuntime> {
  let problem = '';
  for (const precompiled of [true, false]) {
    const crun = await CrunRuntime.open(podman, { ...options, precompiled });
    try {
      const found = await crun.probe(options.peer, new AbortController().signal);
      if (found === undefined) return crun;
      problem = found;
    } catch (error) {
      problem = messageOf(error);
    }
    await crun.close();
  }
  throw new CrunUnavailableError(`a canary did not come back: ${problem}`);
}

async function onlyPodman(podman: PodmanRuntime, options: RuntimeOptions): Promise<OpenedRuntime> {
  const retired = await openRetiredLane(options.directory, () => CrunRuntime.open(podman, options));
  switch (retired.kind) {
    case 'kept': {
      const runtime = new RuntimeChoice(podman, [], [retired.lane]);
      return { runtime, close: closeBoth(podman, retired.lane) };
    }
    case 'ended':
      return { ...alone(podman), endedProblem: retired.problem };
    case 'none':
      return alone(podman);
    default:
      return unreachable(retired);
  }
}

function alone(podman: PodmanRuntime): OpenedRuntime {
  return { runtime: new RuntimeChoice(podman), close: async () => podman.close() };
}

function closeBoth(podman: PodmanRuntime, crun: CrunRuntime): () => Promise<void> {
  return async () => {
    await crun.close();
    podman.close();
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
