import type { ContainerRuntime, PeerId, RuntimeName } from '@podmesh/core';
import { unreachable } from '@podmesh/core';
import { sweepCanaries } from './canary.ts';
import { CrunUnavailableError } from './crun/crun-errors.ts';
import { CrunRuntime } from './crun/crun-runtime.ts';
import { type OpenLane, openRetiredLane } from './crun/retired-lane.ts';
import type { Env } from './find-socket.ts';
import { type LocalLayers, readLocalLayers } from './local-layers.ts';
import type { OnBrokenImage } from './podman-image-api.ts';
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
  /** Told once of each image that Podman cannot read; it is left out of every list. */
  readonly onBrokenImage?: OnBrokenImage;
}

export interface OpenedRuntime {
  readonly runtime: ContainerRuntime;
  /** The layers of images that are here. */
  readonly localLayers: () => Promise<LocalLayers>;
  /** Why there is no fast lane, when it was wanted; says what to do. */
  readonly crunProblem?: string;
  /** Why containers that an earlier daemon had left in the fast lane were ended. */
  readonly endedProblem?: string;
  /** Why not all was swept that an earlier daemon had left in the fast lane; the next start tries again. */
  readonly sweepProblem?: string;
  /** Lets go of everything; containers run on. */
  close(): Promise<void>;
}

/**
 * The runtimes of this machine, the fast lane only after a canary came back from it. Where it is not
 * used, containers that an earlier daemon left in it are still found, and else it is swept. Throws
 * `CrunUnavailableError` when that lane was asked for by name and does not work, and `RetiredLaneError`
 * when such containers run and cannot be looked after now.
 */
export async function openRuntime(options: RuntimeOptions): Promise<OpenedRuntime> {
  await sweepCanaries();
  const podman = new PodmanRuntime(options);
  if (options.choice === 'podman') return await onlyPodman(podman, options);
  try {
    const crun = await openProvenCrun(podman, options);
    const runtime = new RuntimeChoice(crun, [podman]);
    return { runtime, localLayers: layersOf(podman), close: closeBoth(podman, crun) };
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
  const retired = await retireLane(podman, options);
  switch (retired.kind) {
    case 'kept': {
      const runtime = new RuntimeChoice(podman, [], [retired.lane]);
      const close = closeBoth(podman, retired.lane);
      return { runtime, localLayers: layersOf(podman), close };
    }
    case 'ended':
      return { ...alone(podman), endedProblem: retired.problem };
    case 'none': {
      const { problem } = retired;
      return { ...alone(podman), ...(problem === undefined ? {} : { sweepProblem: problem }) };
    }
    default:
      return unreachable(retired);
  }
}

async function retireLane(
  podman: PodmanRuntime,
  options: RuntimeOptions,
): ReturnType<typeof openRetiredLane> {
  const { directory, peer } = options;
  const open = () => CrunRuntime.open(podman, options);
  try {
    return await openRetiredLane({ directory, peer, api: podman.api, open });
  } catch (error) {
    podman.close();
    throw error;
  }
}

function alone(podman: PodmanRuntime): OpenedRuntime {
  return {
    runtime: new RuntimeChoice(podman),
    localLayers: layersOf(podman),
    close: async () => podman.close(),
  };
}

const layersOf = (podman: PodmanRuntime) => () => readLocalLayers(podman.api);

function closeBoth(podman: PodmanRuntime, crun: OpenLane): () => Promise<void> {
  return async () => {
    await crun.close();
    podman.close();
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
