import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';

const PIECE_BYTES = 16 * 1024 * 1024;

/**
 * Nothing is left to be written, and as much memory as the copies need has just been given back: a virtual machine has to
 * ask its host for memory that nobody used in the last seconds, which can cost more than the copies themselves.
 */
export async function settle(folder: string, bytes: number): Promise<void> {
  const file = join(folder, 'settle');
  const handle = await open(file, 'w');
  const piece = Buffer.alloc(PIECE_BYTES);
  for (let at = 0; at < bytes; at += piece.length) await handle.write(piece);
  await handle.sync();
  await handle.close();
  await rm(file);
}
