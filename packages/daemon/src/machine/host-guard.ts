import type { ClaimId, Clock, ContainerSample } from '@podmesh/core';
import type { Logger } from 'pino';
import type { RunningAttempt } from '../execute/active-attempts.ts';
import { diskExceeded } from '../execute/limit-watch.ts';
import type { StopOrder } from '../execute/stop-order.ts';
import { mebibytes } from './mebibytes.ts';
import { type HostState, judgeDisk, judgeMemory, type MemoryReading } from './pressure.ts';

/** The machine is looked at this often. */
const LOOK_MS = 1_000;
/** PSI is an average over ten seconds: what one ending did for it is seen only then. */
const PSI_WINDOW_MS = 10_000;

/** What the guard looks at. */
export interface HostMeasures {
  memory(): Promise<MemoryReading>;
  freeDiskBytes(): Promise<number>;
  /** The folder whose file system counts as this peer's disk. */
  readonly disk: string;
}

export interface HostGuardParts {
  readonly measures: HostMeasures;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Attempts whose containers run; the one that was started first stands first. */
  readonly running: () => readonly RunningAttempt[];
  /** Whether an attempt is still in hand: its files are there until it is not. */
  readonly holds: (claim: ClaimId) => boolean;
  readonly end: (claim: ClaimId, order: StopOrder) => void;
  /** Called when a reason to pause came or went. */
  readonly onChange: () => void;
}

/**
 * Protects the machine from what runs on it: claims nothing under pressure, and ends one attempt at a
 * time in an emergency, before the kernel ends something that is its owner's.
 */
export class HostGuard {
  readonly #parts: HostGuardParts;
  readonly #stop = new AbortController();
  #memory: HostState = { kind: 'calm' };
  #disk: HostState = { kind: 'calm' };
  /** The attempt that was told to end. */
  #ending: ClaimId | undefined;
  #endedForStallsMs = Number.NEGATIVE_INFINITY;
  #loop: Promise<void> = Promise.resolve();

  constructor(parts: HostGuardParts) {
    this.#parts = parts;
  }

  /** Looks once before it resolves. */
  async start(): Promise<void> {
    if (this.#stop.signal.aborted) return;
    await this.#look();
    this.#loop = this.#keepLooking();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }

  /** Why nothing is claimed at present; empty while the machine is calm. */
  reasons(): readonly string[] {
    return [this.#memory, this.#disk].flatMap((state) =>
      state.kind === 'calm' ? [] : [state.reason],
    );
  }

  async #keepLooking(): Promise<void> {
    const { clock } = this.#parts;
    while (!this.#stop.signal.aborted) {
      await clock.sleep(LOOK_MS, this.#stop.signal);
      if (!this.#stop.signal.aborted) await this.#look();
    }
  }

  async #look(): Promise<void> {
    const { measures, onChange, logger } = this.#parts;
    const before = this.reasons().length;
    try {
      const memory = await measures.memory();
      this.#memory = judgeMemory(memory, this.#memory);
      this.#disk = judgeDisk(await measures.freeDiskBytes(), this.#disk, measures.disk);
      if (this.reasons().length !== before) onChange();
      await this.#actOnEmergency(memory);
    } catch (error) {
      logger.warn({ err: error }, 'could not measure this machine; trying again');
    }
  }

  /** One at a time, and measured again in between. */
  async #actOnEmergency(memory: MemoryReading): Promise<void> {
    const running = this.#parts.running();
    if (running.some(({ claim }) => claim === this.#ending)) return;
    if (this.#memory.kind === 'emergency') {
      return this.#endYoungest(running, memory, this.#memory.reason);
    }
    if (this.#disk.kind !== 'emergency') return;
    // Its disk is free only when it is cleaned up.
    if (this.#ending !== undefined && this.#parts.holds(this.#ending)) return;
    const largest = largestExcess(await measureAll(running));
    if (largest !== undefined) this.#end(largest.claim, diskOrder(largest, this.#disk.reason));
  }

  /** The one that loses the least work. */
  #endYoungest(running: readonly RunningAttempt[], memory: MemoryReading, reason: string): void {
    const youngest = running.at(-1);
    if (youngest === undefined) return;
    const nowMs = this.#parts.clock.nowMs();
    if (isStalledOnly(memory) && nowMs - this.#endedForStallsMs < PSI_WINDOW_MS) return;
    this.#endedForStallsMs = nowMs;
    this.#end(youngest.claim, {
      kind: 'oom-host',
      message: `ended to save its machine, by no fault of its own: ${reason}`,
    });
  }

  #end(claim: ClaimId, order: StopOrder): void {
    this.#ending = claim;
    const { run, task, attempt } =
      this.#parts.running().find((one) => one.claim === claim)?.offer ?? {};
    this.#parts.logger.warn({ run, task, attempt, claim, kind: order.kind }, order.message);
    this.#parts.end(claim, order);
  }
}

/** Whether the emergency is one of stalls alone: memory itself is there again. */
function isStalledOnly(memory: MemoryReading): boolean {
  const { fullStalled: _full, someStalled: _some, ...amounts } = memory;
  return judgeMemory(amounts, { kind: 'calm' }).kind !== 'emergency';
}

/** What one running attempt wrote, and what it asked for. */
export interface DiskUse {
  readonly claim: ClaimId;
  readonly writtenBytes: number;
  readonly askedBytes: number;
}

/** The attempt that wrote the most beyond what it asked for; undefined when none did: then none is to blame. */
export function largestExcess(uses: readonly DiskUse[]): DiskUse | undefined {
  const excess = ({ writtenBytes, askedBytes }: DiskUse): number => writtenBytes - askedBytes;
  return uses
    .filter((use) => excess(use) > 0)
    .reduce<DiskUse | undefined>(
      (largest, use) => (largest === undefined || excess(use) > excess(largest) ? use : largest),
      undefined,
    );
}

/** Beyond an amount that it named itself, it is the task's doing. */
function diskOrder({ writtenBytes, askedBytes }: DiskUse, reason: string): StopOrder {
  if (askedBytes > 0) return diskExceeded(writtenBytes, askedBytes);
  const message = `ended to save its machine: ${reason}; it wrote ${mebibytes(writtenBytes)} and named no needs.disk`;
  return { kind: 'disk-host', message };
}

async function measureAll(running: readonly RunningAttempt[]): Promise<readonly DiskUse[]> {
  const uses: DiskUse[] = [];
  for (const { claim, offer, container } of running) {
    const { scratchBytes = 0 } = await container.sample().catch((): ContainerSample => ({}));
    const askedBytes = offer.requirements.diskBytes;
    uses.push({ claim, writtenBytes: scratchBytes, askedBytes });
  }
  return uses;
}
