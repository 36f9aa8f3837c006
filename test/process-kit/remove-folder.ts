import { rm } from 'node:fs/promises';
import { podman } from './podman-containers.ts';

/** With what containers of a killed daemon left in it, which may belong to users of their namespace. */
export async function removeFolder(folder: string): Promise<void> {
  try {
    await rm(folder, { recursive: true, force: true });
  } catch {
    await podman('unshare', 'rm', '-rf', folder);
  }
}
