import { findNatsServer } from '@podmesh/jetstream';
import {
  checkCrunLane,
  checkRootlessPodman,
  type DoctorFinding,
  type DoctorMachine,
  thisMachine,
} from '@podmesh/podman';

/** Looks at everything a peer needs on this machine; changes nothing. */
export async function examineMachine(
  env: NodeJS.ProcessEnv,
  machine: DoctorMachine = thisMachine(env),
): Promise<readonly DoctorFinding[]> {
  const [containers, fastLane, server] = await Promise.all([
    checkRootlessPodman(machine),
    checkCrunLane(machine),
    checkNatsServer(env),
  ]);
  return [...containers, fastLane, server];
}

/** A peer that joins a mesh needs none of its own: therefore not required. */
async function checkNatsServer(env: NodeJS.ProcessEnv): Promise<DoctorFinding> {
  const check = 'nats-server';
  try {
    const { path, version } = await findNatsServer(env);
    return { check, ok: true, required: false, found: `${version} at ${path}` };
  } catch (error) {
    const found = error instanceof Error ? error.message : String(error);
    const repair = 'scripts/install-system installs it; a peer started with --nats needs none';
    return { check, ok: false, required: false, found, repair };
  }
}
