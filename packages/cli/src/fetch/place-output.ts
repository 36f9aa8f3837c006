import { randomUUID } from 'node:crypto';
import { lstat, rename, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { extractArtifact } from '@podmesh/jetstream';
import { CliError } from '../cli-error.ts';
import type { Wanted } from './find-output.ts';

/** Where a person wants it. */
export interface Destination {
  readonly cwd: string;
  /** As given by `-o`; absent: named after the output. */
  readonly path: string | undefined;
  /** Replace what is there. */
  readonly force: boolean;
}

/** Writes it, whole or not at all; the path it lies at. An existing directory is put into, as `cp` does. */
export async function placeOutput(wanted: Wanted, destination: Destination): Promise<string> {
  const path = await choosePath(wanted, destination);
  const there = await statOf(path);
  if (there === undefined) {
    await extractArtifact(wanted.ref, path, wanted.source);
    return path;
  }
  if (!destination.force) {
    throw new CliError('exists', `${path} exists already`, {
      advice: 'Name another place with -o PATH, or replace it with --force.',
    });
  }
  const fresh = `${path}.${randomUUID()}`;
  await extractArtifact(wanted.ref, fresh, wanted.source);
  await rm(path, { recursive: true });
  await rename(fresh, path);
  return path;
}

async function choosePath(wanted: Wanted, { cwd, path }: Destination): Promise<string> {
  if (path === undefined) return resolve(cwd, wanted.name);
  const whole = resolve(cwd, path);
  const isInto = path.endsWith('/') || (await statOf(whole))?.isDirectory() === true;
  return isInto ? join(whole, wanted.name) : whole;
}

function statOf(path: string) {
  return lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
}
