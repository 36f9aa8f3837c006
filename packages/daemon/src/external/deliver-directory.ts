import { readdir, realpath, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { ExternalStoreError, placeText, type StorePlace } from '@podmesh/core';

/** S3's own limit, prefix included. */
const KEY_BYTES_MAX = 1_024;
/** Files on their way at the same time. */
const FILES_AT_ONCE = 4;

type Prefix = Extract<StorePlace, { kind: 's3' }>;

export interface DirectoryFile {
  /** Below the directory, with `/`. */
  readonly name: string;
  readonly path: string;
  readonly bytes: number;
}

/** Stores one file. */
export type WriteFile = (place: StorePlace, file: Omit<DirectoryFile, 'name'>) => Promise<void>;

/**
 * Each file of a directory as an object whose key is the prefix and the file's path, in the order of their names. Doing it
 * twice is harmless; what else is below the prefix stays. Throws `ExternalStoreError`, before anything is sent where a
 * name or a link makes it impossible.
 */
export async function deliverDirectory(
  folder: string,
  prefix: Prefix,
  write: WriteFile,
): Promise<void> {
  const placed = (await filesOf(folder, prefix)).map(({ name, ...file }) => {
    const place: Prefix = { ...prefix, key: `${prefix.key}${name}` };
    if (Buffer.byteLength(place.key) > KEY_BYTES_MAX) {
      const many = `a key of S3 has at most ${KEY_BYTES_MAX} bytes; choose a shorter prefix or shorter names`;
      throw refusal(place, many);
    }
    return { place, file };
  });
  const next = placed.values();
  let failed = false;
  const send = async (): Promise<void> => {
    for (const { place, file } of next) {
      if (failed) return;
      await write(place, file).catch((error: unknown) => {
        failed = true;
        throw error;
      });
    }
  };
  // All have ended before anybody is told: what came later would write over the next try's.
  const ended = await Promise.allSettled(Array.from({ length: FILES_AT_ONCE }, send));
  for (const end of ended) if (end.status === 'rejected') throw end.reason;
}

/** Sorted by name. A link counts as the file it leads to; an empty folder is nothing to a store of objects. */
async function filesOf(folder: string, prefix: Prefix): Promise<readonly DirectoryFile[]> {
  const root = await realpath(folder);
  const files: DirectoryFile[] = [];
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    if (entry.isDirectory()) continue;
    const path = join(entry.parentPath, entry.name);
    const name = path.slice(root.length + 1).replaceAll(sep, '/');
    const real = entry.isSymbolicLink() ? await linked(path, root) : path;
    if (real === undefined) {
      const link = `${JSON.stringify(name)} is a link to no file of the directory`;
      throw refusal(
        prefix,
        `${link}, and S3 knows no links; copy what it leads to, or leave it out`,
      );
    }
    files.push({ name, path: real, bytes: (await stat(real)).size });
  }
  return files.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The file behind a link; undefined: there is none inside of the directory. */
async function linked(path: string, root: string): Promise<string | undefined> {
  try {
    const real = await realpath(path);
    return real.startsWith(`${root}${sep}`) && (await stat(real)).isFile() ? real : undefined;
  } catch {
    return undefined;
  }
}

function refusal(place: StorePlace, why: string): ExternalStoreError {
  return new ExternalStoreError('failed', `${placeText(place)}: ${why}`, { retryable: false });
}
