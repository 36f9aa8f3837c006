import { closeSync, constants, lstatSync, openSync } from 'node:fs';
import { readdir, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type ContainerRuntime, type PeerId, PortError } from '@podmesh/core';
import { findCgroupBase, removeStaleCgroups } from '../container-cgroup.ts';
import { AttemptFiles } from './attempt-files.ts';
import { findProcess, sendSignal } from './container-process.ts';
import { CrunUnavailableError } from './crun-errors.ts';
import { ATTEMPTS_MAX, KILL_MS_MAX, KILL_POLL_MS } from './crun-limits.ts';
import { isHeld, tell } from './fifo.ts';
import { hasCrunAttempts, lanePlaces, leaveMemory } from './lane-places.ts';
import { type PinApi, removePins } from './recipe-book.ts';

/** Before each further try to open a lane that containers live in. */
const OPEN_PAUSES_MS = [500, 2_000, 5_000];

/** What is needed of a lane that is open. */
export type OpenLane = Pick<ContainerRuntime, 'leftovers'> & { close(): Promise<void> };

export interface RetiredLaneOptions {
  readonly directory: string;
  readonly peer: PeerId;
  readonly api: PinApi;
  readonly open: () => Promise<OpenLane>;
  /** Others in tests. */
  readonly pausesMs?: readonly number[];
}

/** What became of a lane that nothing is started in any more. */
type RetiredLane =
  /** `problem`: why not all was swept that an earlier daemon has left there. */
  | { readonly kind: 'none'; readonly problem?: string }
  | { readonly kind: 'kept'; readonly lane: OpenLane }
  /** Nobody could have looked after its containers; `problem` says why. */
  | { readonly kind: 'ended'; readonly problem: string };

/** Containers of an earlier daemon run, and could be looked after another time. */
export class RetiredLaneError extends PortError {
  constructor(reason: string, cause: unknown) {
    super(
      `an earlier daemon left tasks in the fast lane, and this one cannot look after them now: ${reason}. ` +
        'They go on, and nothing was ended. Start again when that is repaired; see: podmesh doctor',
      { retryable: true, cause },
    );
  }
}

/**
 * Opens a lane for the containers that an earlier daemon left there. Where the lane cannot work any more,
 * they end: a container that nobody watches would go on beside the next attempt at its task. Where it only
 * failed, they go on, and `RetiredLaneError` is thrown. Without containers, the rest is swept.
 */
export async function openRetiredLane(options: RetiredLaneOptions): Promise<RetiredLane> {
  const { directory } = options;
  if (!(await hasCrunAttempts(directory))) return { kind: 'none', ...(await sweep(options)) };
  try {
    return { kind: 'kept', lane: new DwindlingLane(await openPatiently(options), directory) };
  } catch (error) {
    const reason = messageOf(error);
    if (!isUnavailable(error)) throw new RetiredLaneError(reason, error);
    return { kind: 'ended', problem: await endCrunContainers(options, reason) };
  }
}

/** A lane that closes, and lets go of all that it holds, when its last container was removed. */
class DwindlingLane implements OpenLane {
  readonly #lane: OpenLane;
  readonly #directory: string;
  #closed: Promise<void> | undefined;

  constructor(lane: OpenLane, directory: string) {
    this.#lane = lane;
    this.#directory = directory;
  }

  async leftovers(peer: PeerId): ReturnType<OpenLane['leftovers']> {
    if (this.#closed !== undefined) return [];
    const found = await this.#lane.leftovers(peer);
    if (found.length === 0) await this.close();
    return found;
  }

  close(): Promise<void> {
    this.#closed ??= closeEmptied(this.#lane, this.#directory);
    return this.#closed;
  }
}

/** A full disk, or a Podman that does not answer once, is no reason to end anything. */
async function openPatiently({
  open,
  pausesMs = OPEN_PAUSES_MS,
}: RetiredLaneOptions): Promise<OpenLane> {
  for (const pauseMs of pausesMs) {
    try {
      return await open();
    } catch (error) {
      // What has a cause of its own, as a command that failed, may go better the next time.
      if (isUnavailable(error) && error.cause === undefined) throw error;
    }
    await pause(pauseMs);
  }
  return await open();
}

/** Whether the lane cannot work here. Podman's own commands fail on a full disk, too. */
function isUnavailable(error: unknown): error is CrunUnavailableError {
  return (
    error instanceof CrunUnavailableError && !/no space left|quota exceeded/i.test(error.message)
  );
}

/** What a daemon that was killed has left of an idle lane. Opened once more, the lane itself clears it away. */
async function sweep(options: RetiredLaneOptions): Promise<{ problem?: string }> {
  const { directory, peer, open } = options;
  if ((await namesIn(directory)).length === 0) return {};
  try {
    const lane = await open();
    try {
      await lane.leftovers(peer);
    } finally {
      await closeEmptied(lane, directory);
    }
    return {};
  } catch (error) {
    await sweepMemory(options);
    return { problem: messageOf(error) };
  }
}

/** Without the lane: all but what lies on the disk, which only a namespace could delete. */
async function sweepMemory({ directory, peer, api }: RetiredLaneOptions): Promise<void> {
  await removePins(api, directory, false).catch(() => undefined);
  await leaveMemory(directory).catch(() => undefined);
  const base = await findCgroupBase();
  if (base !== undefined) await removeStaleCgroups(base, peer, new Set(), 'podmesh-crun');
}

/** Without a directory there is nothing to be swept at the next start; what is not empty stays. */
async function closeEmptied(lane: OpenLane, directory: string): Promise<void> {
  await lane.close();
  if (await hasCrunAttempts(directory)) return;
  await rm(lanePlaces(directory).tools, { recursive: true, force: true }).catch(() => undefined);
  for (const name of await namesIn(directory)) await removeEmpty(join(directory, name));
  await removeEmpty(directory);
}

/**
 * Without anything that the lane needs. Directories first: a chain without one does not start its
 * container any more, and does not wait until somebody has read its exit. A crun that has read its
 * configuration before comes with its record later, so it is looked for as long as a chain is there.
 * What lies on the disk stays until the lane can be opened again. Tells why, and what still lives.
 */
async function endCrunContainers(options: RetiredLaneOptions, reason: string): Promise<string> {
  const { attempts, state } = lanePlaces(options.directory);
  const leashes: Leash[] = [];
  try {
    for (const peer of await namesIn(attempts)) {
      for (const name of await namesIn(join(attempts, peer))) {
        const files = new AttemptFiles(join(attempts, peer, name));
        leashes.push(new Leash(files.release));
        files.remove();
      }
    }
    for (const leash of leashes) leash.letGo();
    const endMs = performance.now() + KILL_MS_MAX;
    while ((await killAll(state)) || leashes.some((leash) => leash.isHeld)) {
      if (performance.now() > endMs) {
        return `${reason}; some of them live ${KILL_MS_MAX / 1_000} s after SIGKILL`;
      }
      await pause(KILL_POLL_MS);
    }
  } finally {
    for (const leash of leashes) leash.close();
  }
  await sweepMemory(options);
  return reason;
}

/** Whether any was alive. */
async function killAll(state: string): Promise<boolean> {
  let wasAlive = false;
  for (const id of await namesIn(state)) {
    const found = await findProcess(state, id);
    if (found !== undefined) wasAlive = sendSignal(found, 'SIGKILL') || wasAlive;
  }
  return wasAlive;
}

/** A chain's `release`, also when its directory is gone. */
class Leash {
  /** A writing end: a reading one would make this process one of those who hold it. */
  readonly #fd: number | undefined;

  constructor(release: string) {
    this.#fd = openWriter(release);
  }

  get isHeld(): boolean {
    return this.#path !== undefined && isHeld(this.#path);
  }

  /** One that waits until its exit was read ends now, and not when it looks again. */
  letGo(): void {
    if (this.#path !== undefined) tell(this.#path, '\n');
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
  }

  get #path(): string | undefined {
    return this.#fd === undefined ? undefined : `/proc/self/fd/${this.#fd}`;
  }
}

/** Nobody can open a FIFO for writing that nobody reads; a chain may come to it a moment later. */
function openWriter(fifo: string): number | undefined {
  const { O_RDONLY, O_WRONLY, O_NONBLOCK } = constants;
  try {
    if (!lstatSync(fifo).isFIFO()) return undefined;
    const reader = openSync(fifo, O_RDONLY | O_NONBLOCK);
    try {
      return openSync(fifo, O_WRONLY | O_NONBLOCK);
    } finally {
      closeSync(reader);
    }
  } catch {
    // Half made, or half removed: then no chain has come, or it has gone.
    return undefined;
  }
}

async function removeEmpty(directory: string): Promise<void> {
  await rmdir(directory).catch(() => undefined);
}

async function namesIn(directory: string): Promise<readonly string[]> {
  return (await readdir(directory).catch(() => [])).slice(0, ATTEMPTS_MAX);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
