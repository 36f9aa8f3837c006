import type { ContainerRuntime, PeerId, RuntimeName } from '@podmesh/core';
import { CrunUnavailableError } from './crun/crun-errors.ts';
import { CrunRuntime } from './crun/crun-runtime.ts';
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
  /** Lets go of everything; containers run on. */
  close(): Promise<void>;
}

/**
 * The runtimes of this machine, the fast lane only after a canary came back from it. Throws
 * `CrunUnavailableError` when that lane was asked for by name and does not work.
 */
export async function openRuntime(options: RuntimeOptions): Promise<OpenedRuntime> {
  const podman = new PodmanRuntime(options);
  if (options.choice === 'podman') return onlyPodman(podman);
  try {
    const crun = await openProvenCrun(podman, options);
    const runtime = new RuntimeChoice(crun, podman);
    const close = async () => {
      await crun.close();
      podman.close();
    };
    return { runtime, close };
  } catch (error) {
    if (options.choice === 'auto') return onlyPodman(podman, messageOf(error));
    podman.close();
    const message = `the fast lane does not work on this machine: ${messageOf(error)}`;
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

function onlyPodman(podman: PodmanRuntime, crunProblem?: string): OpenedRuntime {
  return {
    runtime: new RuntimeChoice(podman),
    ...(crunProblem === undefined ? {} : { crunProblem }),
    close: async () => podman.close(),
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
