import {
  type Clock,
  type ContainerSample,
  type LimitsEnforced,
  type Requirements,
  type RunningContainer,
  TASK_PIDS_MAX,
} from '@podmesh/core';
import { mebibytes } from '../machine/mebibytes.ts';
import type { StopOrder } from './stop-order.ts';

/** A container is measured no more often than this… */
const SAMPLE_REST_MS_MIN = 250;
/** …and rests so many times as long as the last look took, so that watching costs a tenth at most… */
const SAMPLE_REST_FACTOR = 10;
/** …but never longer than this… */
const SAMPLE_REST_MS_MAX = 10_000;
/** …and no longer than what is left of a budget of CPU time can last; then it may be measured as often as this… */
const LAST_REST_MS_MIN = 50;
/** …unless it waits for something: then it used less than this share of one core since the look before. */
const WAITING_SHARE_MAX = 0.01;

/** The bounds of one task that nobody but us holds it to; undefined: somebody does, or there is none. */
export interface WatchedBounds {
  readonly memoryBytes: number | undefined;
  readonly processes: number | undefined;
  /** Scratch and outputs together. */
  readonly diskBytes: number | undefined;
  /** Of a budget that the task shares with others. */
  readonly cpuMs: number | undefined;
}

export function watchedBounds(
  { memoryBytes, diskBytes }: Requirements,
  limits: LimitsEnforced,
  cpuMs?: number,
): WatchedBounds {
  return {
    cpuMs,
    memoryBytes: limits.memory === 'watched' ? memoryBytes : undefined,
    processes: limits.pids === 'watched' ? TASK_PIDS_MAX : undefined,
    // No kernel counts what a container writes; a task that named no amount is held to none.
    diskBytes: limits.disk === 'watched' && diskBytes > 0 ? diskBytes : undefined,
  };
}

export interface LimitWatching {
  readonly clock: Clock;
  /** Aborts when the container has ended. */
  readonly ended: AbortSignal;
  /** As much CPU time as it can use in a millisecond, in milliseconds. */
  readonly cores: number;
  /** Told what CPU time it has used, as often as it is measured; must not throw. */
  readonly onCpu?: (cpuMs: number) => void;
}

/** Measures a running container until it has ended or exceeds a bound; never two looks at once, never throws. */
export async function watchLimits(
  container: Pick<RunningContainer, 'sample'>,
  bounds: WatchedBounds,
  { clock, ended, cores, onCpu }: LimitWatching,
): Promise<StopOrder | undefined> {
  if (Object.values(bounds).every((bound) => bound === undefined)) return undefined;
  let restMs = Math.min(SAMPLE_REST_MS_MIN, lastsMs(0, bounds, cores));
  let before = { cpuMs: 0, atMs: clock.nowMs() };
  for (;;) {
    await clock.sleep(restMs, ended);
    if (ended.aborted) return undefined;
    const fromMs = clock.nowMs();
    // A look that failed says nothing; the next one may.
    const sample = await container.sample().catch((): ContainerSample => ({}));
    if (sample.cpuMs !== undefined) onCpu?.(sample.cpuMs);
    const exceeded = exceededBound(sample, bounds);
    if (exceeded !== undefined) return exceeded;
    const tookMs = clock.nowMs() - fromMs;
    const costs = Math.min(SAMPLE_REST_MS_MAX, SAMPLE_REST_FACTOR * tookMs);
    const usual = Math.max(SAMPLE_REST_MS_MIN, costs);
    const { cpuMs = before.cpuMs } = sample;
    const isWaiting = cpuMs - before.cpuMs < WAITING_SHARE_MAX * (fromMs - before.atMs);
    before = { cpuMs, atMs: fromMs };
    // A look that takes longer than what is left may cost as much as it finds, and no more.
    const last = Math.max(tookMs, lastsMs(sample.cpuMs, bounds, cores));
    restMs = isWaiting ? usual : Math.min(usual, last);
  }
}

/** How long what is left of its CPU time lasts at least, after it has used so much; no time at all is not waited. */
function lastsMs(usedMs: number | undefined, { cpuMs }: WatchedBounds, cores: number): number {
  if (cpuMs === undefined || usedMs === undefined) return Number.POSITIVE_INFINITY;
  return Math.max(LAST_REST_MS_MIN, (cpuMs - usedMs) / cores);
}

/** The first bound that is exceeded; what was not measured exceeds none. */
export function exceededBound(
  sample: ContainerSample,
  { memoryBytes, processes, diskBytes, cpuMs }: WatchedBounds,
): StopOrder | undefined {
  if (isAbove(sample.cpuMs, cpuMs)) {
    const message = `used the ${seconds(cpuMs)} of CPU time that were left of a budget "cpuSeconds" above it; raise that at the "spawn" of the job that has it`;
    return { kind: 'cancelled', message };
  }
  if (isAbove(sample.memoryBytes, memoryBytes)) {
    const message = `used more than its ${mebibytes(memoryBytes)} of memory (${mebibytes(sample.memoryBytes)}); ask for more with needs.memory`;
    return { kind: 'oom-task', message };
  }
  if (isAbove(sample.scratchBytes, diskBytes)) {
    return diskExceeded(sample.scratchBytes ?? 0, diskBytes ?? 0);
  }
  if (isAbove(sample.processes, processes)) {
    const message = `ran ${sample.processes} processes at a time; a task may run ${processes}`;
    return { kind: 'exit', message };
  }
  return undefined;
}

export function diskExceeded(writtenBytes: number, diskBytes: number): StopOrder {
  const message = `wrote more than its ${mebibytes(diskBytes)} of disk (${mebibytes(writtenBytes)}); ask for more with needs.disk`;
  return { kind: 'disk-task', message };
}

const seconds = (ms = 0): string => `${(ms / 1_000).toFixed(1)} s`;

function isAbove(measured: number | undefined, bound: number | undefined): boolean {
  return measured !== undefined && bound !== undefined && measured > bound;
}
