import { createHash } from 'node:crypto';
import { chmod, lstat, mkdir, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { isAbsence } from './store/absence.ts';

/** Linux takes 107 bytes for the path of a socket; others take less. */
const PATH_BYTES_MAX = 100;
const NAME = 'daemon.sock';

export interface SocketPlace {
  readonly path: string;
  /** Made for the socket alone, and removed with it. */
  readonly folder?: string;
}

/**
 * Where the daemon of a home listens: in the home, or, when that path is too long for a socket, in a short folder
 * that is this user's only. Throws when there is no such place.
 */
export async function prepareSocketPlace(
  home: string,
  env: NodeJS.ProcessEnv,
): Promise<SocketPlace> {
  const path = join(resolve(home), NAME);
  if (fits(path)) return { path };
  const name = `podmesh-${createHash('sha256').update(resolve(home)).digest('hex').slice(0, 12)}`;
  let problem: unknown = new Error(`${path} is too long a path for a socket`);
  for (const root of [env.XDG_RUNTIME_DIR, tmpdir(), '/tmp']) {
    if (!root || !fits(join(root, name, NAME))) continue;
    const folder = join(root, name);
    try {
      await makePrivate(folder);
      return { path: join(folder, NAME), folder };
    } catch (error) {
      problem = error;
    }
  }
  throw problem;
}

/** Removes the socket of a daemon that was killed. Throws when somebody listens there, or it is no socket. */
export async function clearStaleSocket(path: string): Promise<void> {
  const found = await lstat(path).catch((error: unknown) => {
    if (isAbsence(error)) return undefined;
    throw error;
  });
  if (found === undefined) return;
  if (!found.isSocket()) throw new Error(`${path} is no socket; move it away`);
  if (await isHeard(path)) throw new Error(`another program listens at ${path}`);
  await rm(path, { force: true });
}

const fits = (path: string): boolean => Buffer.byteLength(path) <= PATH_BYTES_MAX;

/** In a folder like /tmp anybody may have been there before us. */
async function makePrivate(folder: string): Promise<void> {
  try {
    await mkdir(folder, { mode: 0o700 });
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    const found = await lstat(folder);
    if (!found.isDirectory() || found.uid !== process.getuid?.())
      throw new Error(`${folder} belongs to somebody else`, { cause: error });
    await chmod(folder, 0o700);
  }
}

/** Only a refused connection proves that nobody listens; whatever else goes wrong may be a living program. */
function isHeard(path: string): Promise<boolean> {
  return new Promise((answer) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      answer(true);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      answer(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT');
    });
  });
}
