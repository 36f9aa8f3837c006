import { randomUUID } from 'node:crypto';
import { lstat, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { extractArtifact } from '@podmesh/jetstream';
import type { Client } from '@podmesh/sdk';
import { CliError } from '../cli-error.ts';
import type { Wanted } from './find-output.ts';

/** Where large files are put together, beside where they are going to be. */
const DOWNLOADS = '.podmesh-download';

/** Where a person wants it. */
export interface Destination {
  readonly cwd: string;
  /** As given by `-o`; absent: named after the output. */
  readonly path: string | undefined;
  /** Replace what is there. */
  readonly force: boolean;
}

/** Where it lies then, and which bytes of it came from peers; the rest came from the object store. */
export interface Placed {
  readonly path: string;
  readonly fromPeers: { readonly direct: number; readonly relayed: number };
}

/** Writes it, whole or not at all. An existing directory is put into, as `cp` does. */
export async function placeOutput(
  wanted: Wanted,
  destination: Destination,
  downloads: Client['downloads'],
): Promise<Placed> {
  const path = await choosePath(wanted, destination);
  // Always the same, so that the next try finds what this one leaves when it is killed.
  const own = downloads?.(join(dirname(path), DOWNLOADS));
  const fetchInto = own?.fetchInto.bind(own);
  const source = fetchInto === undefined ? wanted.source : { get: getOf(wanted), fetchInto };
  try {
    await placeAt({ ...wanted, source }, path, destination.force);
    return { path, fromPeers: own?.came ?? { direct: 0, relayed: 0 } };
  } finally {
    await own?.close();
  }
}

const getOf =
  ({ source }: Wanted): Wanted['source']['get'] =>
  (artifact) =>
    source.get(artifact);

async function placeAt(wanted: Wanted, path: string, force: boolean): Promise<void> {
  const there = await statOf(path);
  if (there === undefined) {
    await extractArtifact(wanted.ref, path, wanted.source);
    return;
  }
  if (!force) {
    throw new CliError('exists', `${path} exists already`, {
      advice: 'Name another place with -o PATH, or replace it with --force.',
    });
  }
  const fresh = `${path}.${randomUUID()}`;
  await extractArtifact(wanted.ref, fresh, wanted.source);
  await rm(path, { recursive: true });
  await rename(fresh, path);
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
