import { statfs } from 'node:fs/promises';
import type { Capacity } from '@podmesh/core';
import type { MachineFacts } from './hardware.ts';

/** Share of the machine's memory that is offered; the rest is its owner's. */
const MEMORY_SHARE = 0.8;
/** Share of the disk space free at the start that is offered. */
const DISK_SHARE = 0.8;

/** What the machine offers: what was asked for, else the default share of what there is. */
export async function offeredCapacity(
  { machine, hardware }: MachineFacts,
  disk: string,
  asked: { readonly [Name in keyof Capacity]?: number | undefined },
): Promise<Capacity> {
  const { bavail, bsize } = await statfs(disk);
  return {
    cpus: asked.cpus ?? machine.cores,
    memoryBytes: asked.memoryBytes ?? Math.floor(machine.memoryBytes * MEMORY_SHARE),
    diskBytes: asked.diskBytes ?? Math.floor(bavail * bsize * DISK_SHARE),
    gpus: asked.gpus ?? hardware.gpus.length,
  };
}
