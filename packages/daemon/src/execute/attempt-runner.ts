import {
  type ContainerLabels,
  isSettledByPeer,
  type LogSink,
  type Offer,
  type PullProgress,
  pullLine,
  type RunningContainer,
} from '@podmesh/core';
import type { Reservation } from '../claim/capacity-ledger.ts';
import type { ActiveAttempts } from './active-attempts.ts';
import type { JournalEntry, OpenAttempt } from './attempt-journal.ts';
import type { AttemptInHand, AttemptStep } from './attempt-step.ts';
import type { CachedResults } from './cached-results.ts';
import { ContainerRun } from './container-run.ts';
import type { ContainerRunParts, ContainerWitness, Ending } from './container-run-parts.ts';
import type { ExecutorParts } from './executor-parts.ts';
import type { Outcomes } from './outcomes.ts';
import type { LogSpool } from './task-files.ts';

/** Why the journal has no entry of an attempt. */
export interface JournalTrouble {
  readonly error: unknown;
}

/** With what an attempt begins. */
export interface Beginning {
  /** The image id, where it is known already. */
  readonly image: string | undefined;
  readonly stop: AbortSignal;
  readonly trouble: JournalTrouble | undefined;
  readonly reservation: Reservation;
}

export interface AttemptRunnerParts {
  readonly parts: ExecutorParts;
  readonly active: ActiveAttempts;
  readonly results: CachedResults;
  readonly outcomes: Outcomes;
}

/** Takes an attempt that has begun to its outcome in the log: its container, what it says, and what it leaves behind. */
export class AttemptRunner {
  readonly #parts: ExecutorParts;
  readonly #active: ActiveAttempts;
  readonly #results: CachedResults;
  readonly #outcomes: Outcomes;

  constructor({ parts, active, results, outcomes }: AttemptRunnerParts) {
    this.#parts = parts;
    this.#active = active;
    this.#results = results;
    this.#outcomes = outcomes;
  }

  /** From the fact that it has begun. */
  async run(entry: OpenAttempt, beginning: Beginning): Promise<void> {
    const { image, stop, trouble, reservation } = beginning;
    const { files, peer } = this.#parts;
    const { offer, claim, startedSequence } = entry;
    const { run, task, attempt } = offer;
    const spool = files.openLog(claim, offer);
    const witness = this.#witness(entry);
    const onPull = this.#pullTeller(offer);
    const own = { reservation, startedSequence };
    const made = { offer, claim, spool, stop, witness, onPull, ...own };
    const containerRun = new ContainerRun(this.#runParts(offer), made);
    const labels: ContainerLabels = { run, task, attempt, peer, claim };
    const ending = await (trouble === undefined
      ? containerRun.execute(image, labels, this.#logSink(offer, spool))
      : containerRun.fail(trouble.error));
    await this.#publish(entry, ending, containerRun);
  }

  /** Its container runs already: an earlier session started it. */
  async adopt(
    entry: OpenAttempt,
    container: RunningContainer,
    { stop, reservation }: Pick<Beginning, 'stop' | 'reservation'>,
  ): Promise<void> {
    const { files } = this.#parts;
    const { offer, claim, startedSequence } = entry;
    const isReplayed = container.replays === 'all';
    const spool = isReplayed ? files.openLog(claim, offer) : await files.reopenLog(claim, offer);
    const witness = this.#witness(entry, true);
    const ranMs = entry.started?.ranMs ?? 0;
    const own = { reservation, startedSequence };
    const attempt = { offer, claim, spool, stop, witness, ranMs, ...own };
    const containerRun = new ContainerRun(this.#runParts(offer), attempt);
    const image = entry.started?.image ?? entry.image;
    const ending = await containerRun.adopt(container, image, this.#logSink(offer, spool));
    await this.#publish(entry, ending, containerRun);
  }

  /** Of most offers the cache was asked before the attempt began. */
  #runParts(offer: Offer): ContainerRunParts {
    if (!offer.cache || !isSettledByPeer(offer)) return this.#parts;
    return { ...this.#parts, known: this.#results };
  }

  /** A restarted daemon that finds no container has to know whether there ever was one. */
  #witness(attempt: AttemptInHand, isAdopted = false): ContainerWitness {
    const { claim } = attempt;
    return {
      started: async (container, image) => {
        this.#active.noteRunning(claim, container);
        // The time of the first note counts against the task's time limit.
        if (isAdopted) return;
        // Without the note only the name of a failure would differ: no reason to end a task.
        await this.#parts.journal.noteStarted(claim, image).catch(() => undefined);
        this.#step('start-noted', attempt);
      },
      used: (cpuMs) => this.#active.noteCpu(claim, cpuMs),
      ended: () => this.#active.noteEnded(claim),
    };
  }

  #logSink({ run, task, attempt }: Offer, spool: LogSpool): LogSink {
    return (stream, bytes) => {
      spool.write(stream, bytes);
      this.#parts.liveLog.write({ run, task, attempt, bytes });
    };
  }

  /** Not into the spool: the stored log is what the task wrote, and equal tasks have equal logs. */
  #pullTeller({ run, task, attempt }: Offer): PullProgress {
    return (line) => {
      this.#parts.logger.debug({ run, task, attempt }, line);
      this.#parts.liveLog.write({ run, task, attempt, bytes: Buffer.from(pullLine(line)) });
    };
  }

  /** Publishes the outcome, and cleans up whatever comes of that. */
  async #publish(entry: OpenAttempt, ending: Ending, containerRun: ContainerRun): Promise<void> {
    try {
      this.#parts.onEnding?.(entry, ending);
      await this.#outcomes.publish(entry, ending);
    } finally {
      await this.#cleanUp(entry, containerRun);
    }
  }

  /** The outcome is in the log or void; what is left on the machine must not stay, nor stop us. */
  async #cleanUp(entry: JournalEntry, containerRun: ContainerRun): Promise<void> {
    const { claim, offer } = entry;
    try {
      await containerRun.cleanUp();
      this.#step('container-removed', entry);
      await this.#parts.files.release(claim);
      await this.#parts.journal.remove(claim);
      this.#step('journal-removed', entry);
    } catch (error) {
      const about = { run: offer.run, task: offer.task, attempt: offer.attempt, err: error };
      this.#parts.logger.warn(about, 'left a container behind; will remove it');
    }
  }

  #step(step: AttemptStep, attempt: AttemptInHand): void {
    this.#parts.onStep?.(step, attempt);
  }
}
