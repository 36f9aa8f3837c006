import type { Failure, Offer, PeerId, RunningContainer } from '@podmesh/core';
import type { HostMeasures } from '../machine/host-guard.ts';
import { diskExceeded } from './limit-watch.ts';
import type { StopOrder } from './stop-order.ts';

/**
 * A disk with less than this is full. A write that failed for want of room left less than a block of it on tmpfs,
 * and 31 KiB on ext4 (measured); others keep more for their own records, and what goes on beside the task frees
 * some and takes some. Above it a task can still write, and failed of something else: a file that was too large
 * for what was left cannot be told from a wrong argument.
 */
export const FULL_DISK_BYTES = 2 ** 20;

/** The disk where a task wrote, at the moment when it had ended. */
export interface DiskAtEnd {
  readonly peer: PeerId;
  /** The folder whose file system was measured. */
  readonly at: string;
  /** Room for ordinary users; the reserve of root is none. */
  readonly freeBytes: number;
  /** What the task wrote, and what it asked for; 0: no amount was named. */
  readonly writtenBytes: number;
  readonly askedBytes: number;
}

/**
 * What a command's own failure means in the light of the disk: on a full one it is the machine's, unless the
 * task wrote more than the amount it named itself. What was known to be something else stays what it was.
 */
export function judgeFullDisk(
  failure: Pick<Failure, 'kind' | 'message'>,
  { peer, at, freeBytes, writtenBytes, askedBytes }: DiskAtEnd,
): Pick<Failure, 'kind' | 'message'> {
  if (failure.kind !== 'exit' || freeBytes >= FULL_DISK_BYTES) return failure;
  if (askedBytes > 0 && writtenBytes > askedBytes) return diskExceeded(writtenBytes, askedBytes);
  const message = `the disk of ${peer} was full when it ended (${failure.message}); make room at ${at}`;
  return { kind: 'disk-host', message };
}

export interface EndedTask {
  readonly offer: Offer;
  readonly container: Pick<RunningContainer, 'sample'>;
  /** Why it was told to end: then nobody need guess. */
  readonly stopped: StopOrder | undefined;
  readonly peer: PeerId;
  /** Absent: nothing is measured. */
  readonly host: Pick<HostMeasures, 'freeDiskBytes' | 'disk'> | undefined;
}

/**
 * Looks at the disk when a command failed by itself; before anything of the task is removed. Undefined, a
 * success, stays undefined. Never throws: what cannot be measured changes nothing.
 */
export async function amidFullDisk(
  failure: Pick<Failure, 'kind' | 'message'> | undefined,
  { offer, container, stopped, peer, host }: EndedTask,
): Promise<Pick<Failure, 'kind' | 'message'> | undefined> {
  if (failure?.kind !== 'exit' || stopped !== undefined || host === undefined) return failure;
  const freeBytes = await host.freeDiskBytes().catch(() => Number.POSITIVE_INFINITY);
  if (freeBytes >= FULL_DISK_BYTES) return failure;
  const askedBytes = offer.requirements.diskBytes;
  // A look through all that it wrote: only where it decides something.
  const { scratchBytes = 0 } =
    askedBytes > 0 ? await container.sample().catch(() => NOTHING) : NOTHING;
  const disk = { peer, at: host.disk, freeBytes, writtenBytes: scratchBytes, askedBytes };
  return judgeFullDisk(failure, disk);
}

const NOTHING: { readonly scratchBytes?: number } = {};
