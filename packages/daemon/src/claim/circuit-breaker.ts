import type { ClaimId, Clock, ContainerRuntime, PeerId } from '@podmesh/core';
import type { Logger } from 'pino';
import { WakeUp } from '../wake-up.ts';
import {
  afterAttempt,
  afterCanary,
  type Circuit,
  canaryRestMs,
  circuitReason,
  type EndedAttempt,
  mayBegin,
  type Suspect,
  suspectsOf,
  UNTESTED,
} from './circuit.ts';

/** A canary that takes longer than this has failed. */
const CANARY_MS_MAX = 60_000;
/** A job that fails here by itself is tried once in this time. */
const SUSPECT_REST_MS = 60_000;
/** A suspect of which nothing is offered for this long is spoken of no more: its run is over, most likely. */
const SUSPECT_TOLD_MS = 10 * 60_000;

export interface CircuitBreakerParts {
  readonly runtime: Pick<ContainerRuntime, 'probe'>;
  readonly peer: PeerId;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Attempts under way. */
  readonly claims: () => readonly ClaimId[];
  /** Called when it opened or closed, or leaves other jobs to others than before. */
  readonly onChange: () => void;
}

/** Keeps a machine on which nothing works from eating the queue, and tries whether it works again. */
export class CircuitBreaker {
  readonly #parts: CircuitBreakerParts;
  readonly #stop = new AbortController();
  readonly #opened = new WakeUp();
  #circuit: Circuit = UNTESTED;
  /** Of jobs that fail here: when it may be tried again, and when it was offered last. */
  readonly #suspects = new Map<string, { readonly dueMs: number; readonly offeredMs: number }>();
  #loop: Promise<void> = Promise.resolve();

  constructor(parts: CircuitBreakerParts) {
    this.#parts = parts;
  }

  /** Tries a canary before anything is claimed; does not wait for it. */
  start(): void {
    this.#loop = this.#keepProbing();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }

  /** Why nothing is claimed; undefined while it is. */
  get reason(): string | undefined {
    return circuitReason(this.#circuit, this.#parts.claims());
  }

  get kind(): Circuit['kind'] {
    return this.#circuit.kind;
  }

  /** Whether one more attempt may be begun beside those in hand. */
  get allows(): boolean {
    return mayBegin(this.#circuit, this.#parts.claims());
  }

  /** A job that fails here by itself is tried now and then only, should no other peer be able to. */
  leaves(job: string): boolean {
    const suspect = this.#suspects.get(job);
    if (suspect === undefined) return false;
    const nowMs = this.#parts.clock.nowMs();
    const isDue = suspect.dueMs <= nowMs;
    const dueMs = isDue ? nowMs + SUSPECT_REST_MS : suspect.dueMs;
    this.#suspects.set(job, { dueMs, offeredMs: nowMs });
    return !isDue;
  }

  /** The jobs that are left to others at present, and why, in words; the newest last. */
  get rationed(): readonly Suspect[] {
    const sinceMs = this.#parts.clock.nowMs() - SUSPECT_TOLD_MS;
    return suspectsOf(this.#circuit)
      .filter(({ job }) => (this.#suspects.get(job)?.offeredMs ?? sinceMs) > sinceMs)
      .map(({ job, reason }) => ({ job, reason: `${reason}; ${RATIONED}` }));
  }

  /** How an attempt of this peer ended. */
  note(ended: EndedAttempt): void {
    this.#become(afterAttempt(this.#circuit, ended));
  }

  async #keepProbing(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const restMs = canaryRestMs(this.#circuit);
      if (restMs === undefined) {
        await this.#opened.next(signal);
        continue;
      }
      await this.#parts.clock.sleep(restMs, signal);
      if (signal.aborted) return;
      const trouble = await this.#probe();
      if (!signal.aborted) this.#become(afterCanary(this.#circuit, trouble, this.#parts.claims()));
    }
  }

  /** Undefined when the canary did well; bounded, and never throws. */
  async #probe(): Promise<string | undefined> {
    const { runtime, peer, clock } = this.#parts;
    const over = new AbortController();
    const giveUp = (): void => over.abort();
    this.#stop.signal.addEventListener('abort', giveUp, { once: true });
    const late = clock.sleep(CANARY_MS_MAX, over.signal).then(() => {
      giveUp();
      return `it had not ended after ${CANARY_MS_MAX / 1_000} s`;
    });
    try {
      return await Promise.race([runtime.probe(peer, over.signal), late]);
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    } finally {
      giveUp();
      this.#stop.signal.removeEventListener('abort', giveUp);
    }
  }

  #become(next: Circuit): void {
    const before = this.#circuit;
    if (next === before) return;
    this.#circuit = next;
    const suspectsChanged = suspectsOf(next) !== suspectsOf(before);
    if (suspectsChanged) this.#ration(suspectsOf(next));
    if (next.kind === before.kind) {
      if (suspectsChanged) this.#parts.onChange();
      return;
    }
    if (next.kind === 'open') {
      this.#parts.logger.warn({ reason: next.reason }, 'the circuit opened');
      this.#opened.ring();
    } else if (before.kind === 'open' || before.kind === 'half-open') {
      this.#parts.logger.info(`the circuit is ${next.kind}`);
    }
    this.#parts.onChange();
  }

  #ration(suspects: readonly Suspect[]): void {
    const jobs = new Set(suspects.map(({ job }) => job));
    for (const job of this.#suspects.keys()) if (!jobs.has(job)) this.#suspects.delete(job);
    const nowMs = this.#parts.clock.nowMs();
    for (const { job, reason } of suspects) {
      if (this.#suspects.has(job)) continue;
      this.#suspects.set(job, { dueMs: nowMs + SUSPECT_REST_MS, offeredMs: nowMs });
      this.#parts.logger.warn({ job, reason }, 'leaves a job to others that fails here by itself');
    }
  }
}

const RATIONED = `a canary container does well, so other peers get this job first, and it is tried here once in ${SUSPECT_REST_MS / 1_000} s`;
