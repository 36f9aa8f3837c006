import { execFile } from 'node:child_process';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { isAtLeast, SERVER_VERSION_MIN } from './connect-mesh.ts';
import { EmbeddedServerError } from './mesh-errors.ts';

export interface NatsServerBinary {
  readonly path: string;
  readonly version: string;
}

const HOW_TO_GET =
  'install the nats-server package of your distribution if it is new enough, ' +
  'or take the binary from the image nats:2.12-alpine or newer, ' +
  'and name it in PODMESH_NATS_SERVER if it is not in the PATH';
const VERSION_MS = 10_000;
/** Where distributions put it and an ordinary user's PATH does not look. */
const USUAL_PLACES = ['/usr/sbin', '/usr/local/sbin', '/usr/local/bin', '/usr/bin'];

/** The first nats-server that is new enough. Throws `EmbeddedServerError` that tells what was found instead. */
export async function findNatsServer(env: NodeJS.ProcessEnv): Promise<NatsServerBinary> {
  const found: string[] = [];
  for (const path of candidates(env)) {
    const version = await versionOf(path);
    if (version === undefined) continue;
    if (isAtLeast(version, SERVER_VERSION_MIN)) return { path, version };
    found.push(`${path} is ${version}`);
  }
  const named = env.PODMESH_NATS_SERVER;
  const what =
    found.length > 0
      ? `nats-server is too old (${found.join(', ')}; wanted ${SERVER_VERSION_MIN} or newer)`
      : named !== undefined && named !== ''
        ? `PODMESH_NATS_SERVER names ${named}, which is no nats-server that runs`
        : `no nats-server ${SERVER_VERSION_MIN} or newer was found`;
  throw new EmbeddedServerError(`${what}: ${HOW_TO_GET}`);
}

/** A binary that is named is the only candidate: a silent substitute would surprise. */
function candidates(env: NodeJS.ProcessEnv): readonly string[] {
  const named = env.PODMESH_NATS_SERVER;
  if (named !== undefined && named !== '') return [named];
  const directories = (env.PATH ?? '').split(delimiter).filter((directory) => directory !== '');
  return [...new Set([...directories, ...USUAL_PLACES])].map((directory) =>
    join(directory, 'nats-server'),
  );
}

async function versionOf(path: string): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)(path, ['--version'], { timeout: VERSION_MS });
    return /v?(\d+\.\d+\.\d+\S*)/.exec(stdout)?.[1];
  } catch {
    return undefined;
  }
}
