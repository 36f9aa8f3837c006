import { type Env, ownSocketPath, socketCandidates } from './find-socket.ts';
import { answers } from './podman-process.ts';

/**
 * Where Podman answers already: at a socket that a person named or the user's own, or through the service that
 * the daemon of this directory runs. Undefined: somebody has to start one. Changes nothing.
 */
export async function answeringSocket(env: Env, directory: string): Promise<string | undefined> {
  const candidates = socketCandidates(env);
  const named = candidates.some(({ required }) => required);
  const paths = candidates.map(({ socketPath }) => socketPath);
  for (const path of named ? paths : [...paths, ownSocketPath(directory, env)]) {
    if (await answers(path)) return path;
  }
  return undefined;
}
