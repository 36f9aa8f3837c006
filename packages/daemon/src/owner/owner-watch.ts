import {
  type Clock,
  FREE,
  judgeOwner,
  type OwnerFacts,
  type OwnerSources,
  type OwnerVerdict,
  type RuleState,
  sleepWishOf,
} from '@podmesh/core';
import type { Logger } from 'pino';
import type { PolicyFile, PolicyInForce } from './policy-file.ts';

/** The machine is looked at this often. */
const LOOK_MS = 5_000;

export interface OwnerWatchParts {
  readonly file: Pick<PolicyFile, 'look' | 'inForce'>;
  readonly sources: OwnerSources;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What stands between the owner's wishes and what this peer does. */
export interface OwnerDuties {
  /** Cores that tasks of this peer hold. */
  readonly ownCores: () => number;
  /** The verdict has changed in what it lets podmesh have. */
  readonly onVerdict: (verdict: OwnerVerdict) => void;
}

/** Keeps an eye on the machine and on what its owner has written, for as long as the peer lives. */
export class OwnerWatch {
  readonly #parts: OwnerWatchParts;
  readonly #stop = new AbortController();
  #duties: OwnerDuties | undefined;
  #states: readonly RuleState[] = [];
  #facts: OwnerFacts | undefined;
  #verdict: OwnerVerdict = FREE;
  #loop: Promise<void> = Promise.resolve();

  constructor(parts: OwnerWatchParts) {
    this.#parts = parts;
  }

  get verdict(): OwnerVerdict {
    return this.#verdict;
  }

  /** What the owner wishes of those who could wake the machine, if it fell asleep now. */
  get sleepWish(): ReturnType<typeof sleepWishOf> {
    return sleepWishOf(this.#parts.file.inForce.policy, this.#facts);
  }

  get inForce(): PolicyInForce {
    return this.#parts.file.inForce;
  }

  /** Looks once before it resolves. */
  async start(duties: OwnerDuties): Promise<void> {
    if (this.#stop.signal.aborted) return;
    this.#duties = duties;
    await this.#look();
    this.#loop = this.#keepLooking();
  }

  /** Harmless when never started, or twice. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }

  async #keepLooking(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await this.#parts.clock.sleep(LOOK_MS, signal);
      if (!signal.aborted) await this.#look();
    }
  }

  async #look(): Promise<void> {
    const { file, clock, logger } = this.#parts;
    try {
      if (await file.look()) this.#tellFile();
      const facts = await this.#measure();
      this.#facts = facts;
      const ownCores = this.#duties?.ownCores() ?? 0;
      const look = { facts, before: this.#states, nowMs: clock.nowMs(), ownCores };
      const { verdict, states } = judgeOwner(file.inForce.policy, look);
      this.#states = states;
      this.#become(verdict);
    } catch (error) {
      logger.warn({ err: error }, 'could not look what the owner of this machine wants');
    }
  }

  /** Rules of another text are other rules. */
  #tellFile(): void {
    const { file, logger } = this.#parts;
    this.#states = [];
    for (const { path, problem, advice } of file.inForce.problems) {
      logger.warn(`${file.inForce.file}: ${path}: ${problem}. ${advice} (the policy before holds)`);
    }
  }

  async #measure(): Promise<OwnerFacts> {
    const { sources } = this.#parts;
    const [power, use, network, load, heat] = await Promise.all([
      sources.power(),
      sources.use(),
      sources.network(),
      sources.load(),
      sources.heat(),
    ]);
    return { power, use, network, load, heat, time: sources.time() };
  }

  #become(verdict: OwnerVerdict): void {
    const before = this.#verdict;
    this.#verdict = verdict;
    if (effectOf(verdict) === effectOf(before)) return;
    const why = verdict.reasons.join('; ') || 'nothing is against it';
    this.#parts.logger.info(`the owner of this machine: ${verdict.stance} (${why})`);
    this.#duties?.onVerdict(verdict);
  }
}

/** What may change all the time is in the words alone. */
const effectOf = ({ stance, cpus, memory, rules }: OwnerVerdict): string =>
  [stance, cpus, memory, ...rules.map(({ isOn }) => isOn)].join(' ');
