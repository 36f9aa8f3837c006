import { type OpenedRuntime, openRuntime } from '@podmesh/podman';
import type { DaemonParts } from './daemon-parts.ts';
import type { StartedParts } from './started-parts.ts';

/** The ways of running containers that this machine has; what it lacks is told once. */
export async function openContainerRuntime(
  parts: DaemonParts,
  started: StartedParts,
  socketPath: string,
): Promise<Pick<OpenedRuntime, 'runtime' | 'localLayers'>> {
  const { configuration, home, logger, peer } = parts;
  const { runtime, localLayers, crunProblem, endedProblem, sweepProblem, close } =
    await openRuntime({
      socketPath,
      env: process.env,
      directory: home.at('crun'),
      peer,
      choice: configuration.runtime,
      onBrokenImage: (image, reason) =>
        logger.warn(
          `Podman cannot read image ${image}, which is left out (podman rmi --force): ${reason}`,
        ),
    });
  started.add('container runtime', close);
  if (crunProblem !== undefined) {
    logger.warn(`without the fast lane, containers take longer to start: ${crunProblem}`);
  }
  if (endedProblem !== undefined) {
    logger.warn(`ended containers of the fast lane, which cannot be opened: ${endedProblem}`);
  }
  if (sweepProblem !== undefined) {
    logger.info(`not all that is left of the fast lane could be swept: ${sweepProblem}`);
  }
  return { runtime, localLayers };
}
