import {
  type Clock,
  type ContainerRuntime,
  jobId,
  type Offer,
  type PeerId,
  type Ration,
  runId,
  taskParts,
} from '@podmesh/core';
import type { Logger } from 'pino';
import type { JournalEntry } from '../execute/attempt-journal.ts';
import type { Ending } from '../execute/container-run-parts.ts';
import type { Executor } from '../execute/executor.ts';
import { HostGuard, type HostMeasures } from '../machine/host-guard.ts';
import type { Circuit } from './circuit.ts';
import { CircuitBreaker } from './circuit-breaker.ts';

export interface ClaimGateParts {
  readonly runtime: Pick<ContainerRuntime, 'probe'>;
  readonly peer: PeerId;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly executor: Pick<Executor, 'claims' | 'running' | 'holds' | 'end'>;
  /** Why the machine itself can claim nothing; undefined while it can. */
  readonly machinePaused: () => string | undefined;
  /** What the owner of the machine has against it; absent: never anything. */
  readonly ownerReasons?: () => readonly string[];
  /** Absent: nothing is measured. */
  readonly host?: HostMeasures;
  /** Called when a reason came or went. */
  readonly onChange: () => void;
}

/** Whether this peer claims, and if not, all the reasons why: the one place where they meet. */
export class ClaimGate {
  readonly #parts: ClaimGateParts;
  readonly #breaker: CircuitBreaker;
  readonly #guard: HostGuard | undefined;
  /** What the log was told last: how many reasons there are. */
  #told = 0;

  constructor(parts: ClaimGateParts) {
    this.#parts = parts;
    const { executor, host } = parts;
    const onChange = () => this.notice();
    this.#breaker = new CircuitBreaker({ ...parts, claims: () => executor.claims(), onChange });
    this.#guard =
      host &&
      new HostGuard({
        ...parts,
        measures: host,
        running: () => executor.running(),
        holds: (claim) => executor.holds(claim),
        end: (claim, order) => executor.end(claim, order),
        onChange,
      });
  }

  async start(): Promise<void> {
    await this.#guard?.start();
    this.#breaker.start();
  }

  async stop(): Promise<void> {
    await Promise.all([this.#guard?.stop(), this.#breaker.stop()]);
  }

  isOpen(): boolean {
    return this.#reasons().length === 0;
  }

  /** Whether an offer is left to others, because its job fails here although canaries do well. */
  leaves(offer: Offer): boolean {
    return this.#breaker.leaves(jobOf(offer));
  }

  /** Why nothing is claimed, in words; undefined while this peer claims. */
  get paused(): string | undefined {
    const reasons = this.#reasons();
    return reasons.length === 0 ? undefined : reasons.join('; and ');
  }

  get circuit(): Circuit['kind'] {
    return this.#breaker.kind;
  }

  /** What is left to others at present, and why; the newest last. */
  get rations(): readonly Ration[] {
    return this.#breaker.rationed.map(({ job, reason }) => ({ ...partsOf(job), reason }));
  }

  /** How an attempt of this peer ended. */
  note({ offer, claim }: Pick<JournalEntry, 'offer' | 'claim'>, ending: Ending): void {
    const what = ending.kind === 'failed' ? ending.failure : 'succeeded';
    this.#breaker.note({ claim, job: jobOf(offer), ending: what });
  }

  /** Something that decides over claiming has changed. */
  notice(): void {
    const reasons = this.#reasons();
    if (reasons.length !== this.#told) {
      const { logger } = this.#parts;
      this.#told = reasons.length;
      if (reasons.length === 0) logger.info('claims tasks again');
      else logger.warn(`claims nothing: ${reasons.join('; and ')}`);
    }
    this.#parts.onChange();
  }

  #reasons(): readonly string[] {
    const machine = this.#parts.machinePaused();
    const circuit = this.#breaker.reason;
    return [
      ...(this.#parts.ownerReasons?.() ?? []),
      ...(machine === undefined ? [] : [machine]),
      ...(this.#guard?.reasons() ?? []),
      ...(circuit === undefined ? [] : [circuit]),
    ];
  }
}

const jobOf = ({ run, task }: Offer): string => `${run}/${taskParts(task).job}`;

/** The ids behind a name of `jobOf`; a run's id has no slash. */
function partsOf(name: string): Pick<Ration, 'run' | 'job'> {
  const at = name.indexOf('/');
  return { run: runId(name.slice(0, at)), job: jobId(name.slice(at + 1)) };
}
