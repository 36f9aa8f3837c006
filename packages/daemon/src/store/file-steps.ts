import { constants } from 'node:fs';
import { chmod, copyFile, link, open, stat } from 'node:fs/promises';

/** What has a digest for a name is whole: the same bytes need not be there twice. */
export async function linkUnlessThere(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  }
}

export async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch {
    return false;
  }
}

/** Resolves when its bytes are on the disk. */
export async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/** A copy with this mode, synced. Copies nothing where the file system can share the bytes. */
export async function copySynced(from: string, to: string, mode: number): Promise<void> {
  await copyFile(from, to, constants.COPYFILE_FICLONE);
  await syncFile(to);
  await chmod(to, mode);
}
