import { randomBytes } from 'node:crypto';
import { open } from 'node:fs/promises';

const PIECE_BYTES = 16 * 1024 * 1024;

/** A file that nobody can have already. */
export async function writeRandom(path: string, bytes: number): Promise<void> {
  const file = await open(path, 'w');
  for (let at = 0; at < bytes; at += PIECE_BYTES) await file.write(randomBytes(PIECE_BYTES));
  await file.close();
}
