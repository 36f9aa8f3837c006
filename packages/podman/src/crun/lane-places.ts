import { createHash } from 'node:crypto';
import { lstatSync, readlinkSync, realpathSync } from 'node:fs';
import { lstat, mkdir, readdir, rename, rm, statfs, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { PeerId } from '@podmesh/core';
import type { Env } from '../find-socket.ts';
import { AttemptFiles } from './attempt-files.ts';
import { RUN_BYTES_MIN } from './crun-limits.ts';
import { isHeld } from './fifo.ts';
import { isPlainPath } from './user-namespace.ts';

/** `f_type` of statfs(2). */
const TMPFS_MAGIC = 0x01021994;
const SHARED_MEMORY = '/dev/shm';
/** In a directory in memory: the lane's own one, to see later whether that is still there. */
const OWNER = 'owner';
/** How long the exit of a container is kept for a daemon whose directory cannot be seen. */
const UNREAD_EXIT_MS_MAX = 24 * 60 * 60 * 1_000;

/**
 * Where one lane keeps what. On the disk, what may become large or stays over a restart of the machine.
 * In memory, where the machine has a place for that, what a container needs as long as it lives:
 * it ends with the machine, too, and small files cost a tenth there of what they cost on a disk.
 */
export interface LanePlaces {
  /** Private to one daemon. */
  readonly directory: string;
  readonly scratch: string;
  readonly files: string;
  readonly bases: string;
  readonly merged: string;
  readonly tools: string;
  readonly trash: string;
  /** What ends with the machine. */
  readonly run: string;
  readonly attempts: string;
  readonly fifos: string;
  /** crun's own records of containers, by id. */
  readonly state: string;
  /** The directories of a peer's containers are in it. */
  attemptsOf(peer: PeerId): string;
}

/** The places that a lane uses, or the last one has used. */
export function lanePlaces(directory: string): LanePlaces {
  return placesIn(directory, ownRun(directory) ?? join(directory, 'run'));
}

/** Whether containers of this lane may live, whoever started them. */
export async function hasCrunAttempts(directory: string): Promise<boolean> {
  if (ownRun(directory) === undefined) return false;
  const { attempts } = lanePlaces(directory);
  for (const peer of await readdir(attempts).catch(() => [])) {
    for (const name of await readdir(join(attempts, peer)).catch(() => [])) {
      if (new AttemptFiles(join(attempts, peer, name)).isWhole()) return true;
    }
  }
  return false;
}

/** Makes them. Where containers may live nothing moves, whatever would be chosen now. */
export async function openLanePlaces(directory: string, env: Env): Promise<LanePlaces> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  if (await hasCrunAttempts(directory)) await keepPlace(directory);
  else await choosePlace(directory, env);
  const places = lanePlaces(directory);
  const { scratch, files, bases, merged, tools, attempts, fifos, state } = places;
  // What an earlier daemon had in stock.
  await rm(fifos, { recursive: true, force: true });
  for (const place of [scratch, files, bases, merged, tools, attempts, fifos, state]) {
    await mkdir(place, { recursive: true, mode: 0o700 });
  }
  return places;
}

/** Without containers nothing of what is in memory is needed. */
export async function leaveMemory(directory: string): Promise<void> {
  const run = ownRun(directory);
  await rm(join(directory, 'run'), { recursive: true, force: true });
  if (run !== undefined) await rm(run, { recursive: true, force: true });
}

/**
 * Where what ends with the machine is, or would be; undefined where the link leads to what another lane
 * has, because this directory is a copy of that one's, or that one was made where this one was before. The
 * link outlives the machine's restart, what it leads to does not: anybody may be there first.
 */
function ownRun(directory: string): string | undefined {
  const link = join(directory, 'run');
  const target = linkTarget(link);
  if (target === undefined) return link;
  const isOwn = isOurs(dirname(target)) && isOurs(target) && isOwner(directory, target);
  return isOwn ? target : undefined;
}

/** The directory that a place names may be gone: then it was moved, and is found by its link. */
function isOwner(directory: string, place: string): boolean {
  const owner = linkTarget(join(place, OWNER));
  if (owner === undefined) return false;
  try {
    return realpathSync(owner) === realpathSync(directory);
  } catch {
    return true;
  }
}

/** Of a lane that was moved: a place that names nobody who is there would be taken for abandoned. */
async function keepPlace(directory: string): Promise<void> {
  const place = linkTarget(join(directory, 'run'));
  if (place !== undefined) await linkTo(realpathSync(directory), join(place, OWNER));
}

async function choosePlace(directory: string, env: Env): Promise<void> {
  await leaveMemory(directory);
  const link = join(directory, 'run');
  for (const memory of [env.XDG_RUNTIME_DIR ?? '', SHARED_MEMORY]) {
    const place = await placeIn(memory, directory).catch(() => undefined);
    if (place === undefined) continue;
    return await linkTo(place, link);
  }
  await mkdir(link, { mode: 0o700 });
}

/** A name of its own first: a link that is half made must never be seen. */
async function linkTo(target: string, link: string): Promise<void> {
  await rm(`${link}.new`, { force: true });
  await symlink(target, `${link}.new`);
  await rename(`${link}.new`, link);
}

/** Undefined where there is no memory to be had, or somebody else's directory stands in the way. */
async function placeIn(memory: string, directory: string): Promise<string | undefined> {
  if (memory === '' || !isPlainPath(memory)) return undefined;
  const { type, bavail, bsize } = await statfs(memory);
  if (type !== TMPFS_MAGIC || bavail * bsize < RUN_BYTES_MIN) return undefined;
  const all = join(memory, `podmesh-${process.getuid?.() ?? 0}`);
  await mkdir(all, { mode: 0o700 }).catch(ifThere);
  if (!isOurs(all)) return undefined;
  await forgetAbandoned(all);
  const owner = realpathSync(directory);
  const name = createHash('sha256').update(owner).digest('hex').slice(0, 16);
  const place = join(all, name);
  const isTaken = linkTarget(join(place, OWNER)) !== undefined && !isOwner(directory, place);
  if (isTaken) return undefined;
  await rm(place, { recursive: true, force: true });
  await mkdir(place, { mode: 0o700 });
  await symlink(owner, join(place, OWNER));
  return place;
}

/** Of lanes whose directory is gone, as a test's or a trial's: nobody else ever would. */
async function forgetAbandoned(all: string): Promise<void> {
  for (const name of await readdir(all)) {
    const owner = linkTarget(join(all, name, OWNER));
    if (owner === undefined || !(await isGone(owner))) continue;
    if (!(await isInUse(join(all, name, 'attempts')))) {
      await rm(join(all, name), { recursive: true, force: true });
    }
  }
}

/** A home that is not mounted now, or that this process may not see, looks as if it was gone. */
async function isInUse(attempts: string): Promise<boolean> {
  for (const peer of await readdir(attempts).catch(() => [])) {
    for (const name of await readdir(join(attempts, peer)).catch(() => [])) {
      if (hasChain(new AttemptFiles(join(attempts, peer, name)))) return true;
    }
  }
  return false;
}

/** One whose container ended waits for somebody to read that, though not for ever. */
function hasChain(files: AttemptFiles): boolean {
  if (!isHeld(files.release)) return false;
  const exit = files.readExit();
  return exit === undefined || Date.now() - exit.finishedMs < UNREAD_EXIT_MS_MAX;
}

async function isGone(path: string): Promise<boolean> {
  return await lstat(path).then(
    () => false,
    (error: NodeJS.ErrnoException) => error.code === 'ENOENT',
  );
}

function placesIn(directory: string, run: string): LanePlaces {
  const attempts = join(run, 'attempts');
  return {
    directory,
    scratch: join(directory, 'scratch'),
    files: join(directory, 'files'),
    bases: join(directory, 'bases'),
    merged: join(directory, 'merged'),
    tools: join(directory, 'tools'),
    trash: join(directory, 'trash'),
    run,
    attempts,
    fifos: join(run, 'fifos'),
    state: join(run, 'state'),
    attemptsOf: (peer) => join(attempts, peer),
  };
}

function isOurs(directory: string): boolean {
  try {
    const found = lstatSync(directory);
    return found.isDirectory() && found.uid === process.getuid?.() && (found.mode & 0o077) === 0;
  } catch {
    return false;
  }
}

function linkTarget(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

function ifThere(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error;
}
