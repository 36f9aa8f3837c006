import { statfs } from 'node:fs/promises';
import { PortError } from '@podmesh/core';
import { mountedDiskOf } from './mounted-disk.ts';

/** What did not fit, and where. */
export interface FullDisk {
  /** The disk as its owner knows it. */
  readonly disk: string;
  /** The folder of the store on it. */
  readonly path: string;
  /** 0: nobody knows. */
  readonly neededBytes: number;
}

/** The disk of the store has no room, even after everything was evicted that may be. Nothing half written is left. */
export class DiskFullError extends PortError implements FullDisk {
  /** As of the system's own error: to those who do not know this class it is the same. */
  readonly code: 'ENOSPC' | 'EDQUOT';
  readonly disk: string;
  readonly path: string;
  readonly neededBytes: number;

  constructor({ disk, path, neededBytes }: FullDisk, found: string, cause?: unknown) {
    super(
      `disk ${disk} is full: needs ${neededBytes === 0 ? 'more' : amount(neededBytes)} in ${path}, ${found}; ` +
        'make room there, or run "podmesh cache prune"',
      { retryable: true, cause },
    );
    this.code = isFullDisk(cause) ? cause.code : 'ENOSPC';
    this.disk = disk;
    this.path = path;
    this.neededBytes = neededBytes;
  }
}

/** Does the work; where it fails for want of room, says which disk that is. */
export async function namingFullDisk<Value>(
  where: Pick<FullDisk, 'path' | 'neededBytes'>,
  work: () => Promise<Value>,
): Promise<Value> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof DiskFullError || !isFullDisk(error)) throw error;
    throw await diskFull(where, error);
  }
}

/** The error for the disk that a folder is on. `because`: what keeps the store from making room. */
export async function diskFull(
  { path, neededBytes }: Pick<FullDisk, 'path' | 'neededBytes'>,
  cause?: unknown,
  because = '',
): Promise<DiskFullError> {
  const mount = await mountedDiskOf(path);
  const disk = mount === undefined ? path : `${mount.mountPoint} (${mount.device})`;
  const found = isFullDisk(cause) && cause.code === 'EDQUOT' ? 'its quota is used up' : undefined;
  const has = found ?? `has ${await freeText(path)}`;
  return new DiskFullError({ disk, path, neededBytes }, `${has}${because}`, cause);
}

export function isFullDisk(error: unknown): error is Error & { code: 'ENOSPC' | 'EDQUOT' } {
  return (
    error instanceof Error &&
    'code' in error &&
    (error.code === 'ENOSPC' || error.code === 'EDQUOT')
  );
}

async function freeText(path: string): Promise<string> {
  try {
    const { bavail, bsize, ffree, files } = await statfs(path);
    if (files > 0 && ffree === 0) return 'no file left to make (inodes)';
    return amount(bavail * bsize);
  } catch {
    return 'too little';
  }
}

/** For people: `1.2 GiB`, `300 KiB`. */
export function amount(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  let value = bytes;
  for (; value >= 1024 && unit < units.length - 1; unit += 1) value /= 1024;
  return `${value >= 10 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}
