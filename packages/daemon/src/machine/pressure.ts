import { readFile, statfs } from 'node:fs/promises';
import { mebibytes } from './mebibytes.ts';

/** Memory of the machine at one moment. The stall shares come from the kernel's PSI and may be absent. */
export interface MemoryReading {
  readonly totalBytes: number;
  readonly availableBytes: number;
  /** Share of the last 10 s in which some, or all, tasks of the machine waited for memory; 0 to 1. */
  readonly someStalled?: number;
  readonly fullStalled?: number;
}

/** Below this much free disk the peer claims nothing: a full disk hurts its owner first. */
export const FREE_DISK_BYTES_MIN = 512 * 2 ** 20;

/** How a machine is, by one measure, and why. */
export type HostState =
  | { readonly kind: 'calm' }
  /** Nothing more is claimed. */
  | { readonly kind: 'pressed'; readonly reason: string }
  /** Something that runs has to end, before the machine ends it. */
  | { readonly kind: 'emergency'; readonly reason: string };

interface Bounds {
  readonly available: number;
  readonly some: number;
  readonly full: number;
}

const PRESSED: Bounds = { available: 0.05, some: 0.2, full: 0.05 };
/** Hysteresis: once pressed, it takes this to be calm again. */
const CALM_AGAIN: Bounds = { available: 0.08, some: 0.1, full: 0.02 };
const EMERGENCY: Bounds = { available: 0.025, some: Number.POSITIVE_INFINITY, full: 0.3 };
const DISK_CALM_FACTOR = 1.25;
const DISK_EMERGENCY_FACTOR = 0.5;

const CALM: HostState = { kind: 'calm' };

export function judgeMemory(reading: MemoryReading, before: HostState): HostState {
  const { totalBytes, availableBytes, someStalled = 0, fullStalled = 0 } = reading;
  const exceeds = ({ available, some, full }: Bounds): boolean =>
    availableBytes < available * totalBytes || someStalled > some || fullStalled > full;
  const reason = () =>
    `memory pressure: ${mebibytes(availableBytes)} of ${mebibytes(totalBytes)} are available, tasks waited ${percent(someStalled)} of the time for memory; it claims again when that is over; close programs, or start the peer with less --memory`;
  if (exceeds(EMERGENCY)) return { kind: 'emergency', reason: reason() };
  return exceeds(before.kind === 'calm' ? PRESSED : CALM_AGAIN)
    ? { kind: 'pressed', reason: reason() }
    : CALM;
}

/** `at`: the folder whose file system was measured. */
export function judgeDisk(freeBytes: number, before: HostState, at: string): HostState {
  const reason = () => `only ${mebibytes(freeBytes)} of disk are free at ${at}; make room there`;
  if (freeBytes < FREE_DISK_BYTES_MIN * DISK_EMERGENCY_FACTOR) {
    return { kind: 'emergency', reason: reason() };
  }
  const enough = FREE_DISK_BYTES_MIN * (before.kind === 'calm' ? 1 : DISK_CALM_FACTOR);
  return freeBytes < enough ? { kind: 'pressed', reason: reason() } : CALM;
}

/** PSI where the kernel has it (Linux 4.20, unless it was switched off), and always `MemAvailable`. */
export async function readMemory(): Promise<MemoryReading> {
  const [meminfo, pressure] = await Promise.all([
    readFile('/proc/meminfo', 'utf8'),
    readFile('/proc/pressure/memory', 'utf8').catch(() => ''),
  ]);
  return parseMemory(meminfo, pressure);
}

/** The texts of `/proc/meminfo` and `/proc/pressure/memory`; the second may be empty. */
export function parseMemory(meminfo: string, pressure: string): MemoryReading {
  const amount = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(meminfo)?.[1] ?? Number.NaN) * 1024;
  const share = (name: string): number =>
    Number(new RegExp(`^${name} avg10=([\\d.]+)`, 'm').exec(pressure)?.[1] ?? Number.NaN) / 100;
  const [someStalled, fullStalled] = [share('some'), share('full')];
  return {
    totalBytes: amount('MemTotal'),
    availableBytes: amount('MemAvailable'),
    ...(Number.isNaN(someStalled) ? {} : { someStalled }),
    ...(Number.isNaN(fullStalled) ? {} : { fullStalled }),
  };
}

export async function readFreeDisk(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

const percent = (share: number): string => `${Math.round(share * 100)}%`;
