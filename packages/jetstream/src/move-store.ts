import { open, readdir, rename, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { EmbeddedServerError } from './mesh-errors.ts';

/** The account of whoever connects to a server without accounts. */
const GLOBAL = '$G';

/**
 * Gives what a server without accounts has stored to the account of the mesh: a server keeps each account's streams in
 * a folder of that name, and nothing inside names the account. One step, so that a crash leaves the old or the new.
 * Nothing to do where it was done, or nothing was stored. Only while no server runs on the folder.
 */
export async function moveStore(storeFolder: string, account: string): Promise<void> {
  const accounts = join(storeFolder, 'jetstream');
  const [from, to] = [join(accounts, GLOBAL), join(accounts, account)];
  const [old, own] = await Promise.all([streamsOf(from), streamsOf(to)]);
  if (old === undefined) return;
  if (own !== undefined && own.length > 0 && old.length > 0)
    throw new EmbeddedServerError(
      `${accounts} holds two meshes: one of an older version in ${GLOBAL} (${old.length} streams), and one in ${account}; ` +
        'move the folder that is not wanted away, and start again',
    );
  if (old.length === 0) return;
  // What is empty may be replaced.
  await rmdir(join(to, 'streams')).catch(() => undefined);
  await rename(from, to);
  const folder = await open(accounts, 'r');
  await folder.sync().finally(() => folder.close());
}

/** Names of the streams of an account; undefined where it has no folder. */
async function streamsOf(folder: string): Promise<readonly string[] | undefined> {
  try {
    await readdir(folder);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
  return readdir(join(folder, 'streams')).catch(() => []);
}
