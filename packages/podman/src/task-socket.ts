import { lstat, symlink } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Where a task finds the socket at which its peer answers it. The directory is mounted and not the socket: a peer
 * that was killed comes back with another socket in the same directory, and what is mounted cannot be exchanged.
 */
export const SOCKET_DIRECTORY = '/run/podmesh';
/** The link's name in `/run`, and what it says. */
export const SOCKET_LINK = 'podmesh.sock';
export const SOCKET_LINK_TARGET = 'podmesh/sock';

/**
 * Makes `/run/podmesh.sock` in a container that was initialised and does not run yet, from outside, by its first
 * process: Podman has no words for a link. Where the image's `/run` is a link, or belongs to another user, there is
 * only the directory. In the fast lane the link is a part of the layer that Podman adds to the image.
 */
export async function linkTaskSocket(pid: number): Promise<void> {
  const run = `/proc/${pid}/root/run`;
  try {
    // A link would lead into this machine's own directories.
    if (!(await lstat(run)).isDirectory()) return;
    await symlink(SOCKET_LINK_TARGET, join(run, SOCKET_LINK));
  } catch (error) {
    if (!isExpected(error)) throw error;
  }
}

function isExpected(error: unknown): boolean {
  const expected = ['EEXIST', 'EACCES', 'EPERM', 'EROFS', 'ENOENT'];
  return error instanceof Error && 'code' in error && expected.includes(String(error.code));
}
