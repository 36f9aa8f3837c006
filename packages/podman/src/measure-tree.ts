import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';

export interface TreeSize {
  /** Blocks on the disk, so that a sparse file counts what it takes. */
  readonly bytes: number;
  /** False when something could not be read, or there was more than asked for. */
  readonly complete: boolean;
}

/** Measures a directory without following links; a file with many names counts once for each. */
export async function measureTree(root: string, entriesMax: number): Promise<TreeSize> {
  const waiting = [root];
  let bytes = 0;
  let entries = 0;
  let complete = true;
  for (let directory = waiting.pop(); directory !== undefined; directory = waiting.pop()) {
    const names = await readdir(directory, { withFileTypes: true }).catch(ifGone);
    complete &&= names !== undefined;
    for (const name of names ?? []) {
      if (++entries > entriesMax) return { bytes, complete: false };
      const path = join(directory, name.name);
      if (name.isDirectory()) waiting.push(path);
      else bytes += await blocksOf(path);
    }
  }
  return { bytes, complete };
}

/** A directory that vanished holds nothing; one that is closed to us holds who knows what. */
function ifGone(error: NodeJS.ErrnoException): [] | undefined {
  return error.code === 'ENOENT' ? [] : undefined;
}

async function blocksOf(path: string): Promise<number> {
  const { blocks } = await lstat(path).catch(() => ({ blocks: 0 }));
  return blocks * 512;
}
