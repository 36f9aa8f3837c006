import {
  applyEvent,
  type Clock,
  type Decision,
  decide,
  type Graph,
  initialRunState,
  PortError,
  type Requirements,
  type RunId,
  type RunPublished,
  type RunState,
  type SecretBoxes,
  type Sequence,
  unreachable,
  WAKE_AFTER_MS,
  waitsForPerson,
} from '@podmesh/core';
import type { Logger } from 'pino';
import { WakeUp } from '../wake-up.ts';
import { watchBudgets } from './budget-watch.ts';
import { endRun, endUnreadable } from './end-run.ts';
import { Growth, isOfferable } from './growth.ts';
import { Losses, type LossesParts, type Suspect } from './losses.ts';
import { MovedTasks } from './moved-tasks.ts';
import { Offerer, type OffererParts } from './offerer.ts';
import { OutputKeeper, type OutputKeeperParts } from './output-keeper.ts';
import { SpentReleases } from './spent-releases.ts';
import { type Offered, Sweeper } from './sweeper.ts';

/** What was offered is compared with what is queued this often. */
const SWEEP_MS = 10_000;
/** Rest after a step that failed; everything is decided again from the log. */
const RETRY_MS = 1_000;

export interface DriverParts extends OffererParts, LossesParts, OutputKeeperParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly loadGraph: (published: RunPublished) => Promise<Graph>;
  readonly boxes?: Pick<SecretBoxes, 'discard'>;
}

/** What goes on beside, as long as the run is driven. */
interface Helpers {
  readonly keeper: OutputKeeper;
  readonly growth: Growth;
}

/** How driving one run came to its end here. */
export type DriveEnding = 'ended' | 'stopped' | 'no-such-run';

/** Whether anything is still to come in a run by itself, as far as its driver has read the log. */
export type RunOutlook = 'goes-on' | 'waits-for-person' | 'unknown';

/**
 * Decides what is next in one run, for as long as this peer holds its drive. Everything it knows
 * comes from the log; a driver that dies is replaced by one that reads the same log, and two at
 * once are harmless because every effect is fenced.
 */
export class Driver {
  readonly #parts: DriverParts;
  readonly #run: RunId;
  readonly #offerer: Offerer;
  readonly #losses: Losses;
  readonly #spent: SpentReleases;
  readonly #wake = new WakeUp();
  /** Tasks whose offer is believed to be in the queue; a hint. */
  readonly #offered: Offered = new Map();
  readonly #moved = new MovedTasks();
  #published: { event: RunPublished; at: string } | undefined;
  #state: RunState | undefined;
  #isOver = false;

  constructor(parts: DriverParts, run: RunId) {
    this.#parts = parts;
    this.#run = run;
    this.#offerer = new Offerer(parts, run, this.#offered, this.#wake);
    this.#losses = new Losses(parts, run, this.#wake);
    this.#spent = new SpentReleases(parts.keepers, run);
  }

  get outlook(): RunOutlook {
    if (this.#state === undefined) return 'unknown';
    return waitsForPerson(this.#state) ? 'waits-for-person' : 'goes-on';
  }

  /** What tasks ask for that have been offered for long, and begun by nobody. */
  get wanted(): readonly Requirements[] {
    const state = this.#state;
    if (state === undefined) return [];
    return [...this.#offered].flatMap(([task, { age, attempt, requirements }]) => {
      const now = state.tasks[task];
      const isWaiting = now?.kind === 'ready' && now.past.length + 1 === attempt;
      if (!isWaiting || age * SWEEP_MS < WAKE_AFTER_MS) return [];
      const asked = requirements ?? state.graph.jobs[state.index.jobOf(task)]?.requirements;
      return asked === undefined ? [] : [asked];
    });
  }

  /** Drives until the run has ended or the signal aborts; throws what keeps it from reading the run. */
  async drive(signal: AbortSignal): Promise<DriveEnding> {
    if (!(await this.#hasLog(signal))) return signal.aborted ? 'stopped' : 'no-such-run';
    const done = new AbortController();
    const stop = AbortSignal.any([signal, done.signal]);
    const keeper = new OutputKeeper(this.#parts, this.#run, this.#wake, stop);
    const growth = new Growth(this.#parts, this.#run, this.#wake, stop);
    const act = this.#act({ keeper, growth }, stop).finally(() => done.abort());
    const sweep = this.#sweep(stop);
    const budgets = watchBudgets({ ...this.#parts, run: this.#run }, () => this.#state, stop);
    try {
      await this.#fold(stop);
    } finally {
      done.abort();
      await Promise.all([act, sweep, budgets]);
      await Promise.all([keeper.ended(), growth.ended(), this.#losses.ended()]);
    }
    if (this.#state?.ended === undefined && !this.#isOver) return 'stopped';
    if (this.#state !== undefined) this.#spent.tell(this.#state);
    // Whoever ended it may have died before this, or another driver may have offered late.
    await this.#parts.offers.discard(this.#run);
    if (hasSealedSecrets(this.#state?.graph)) await this.#parts.boxes?.discard(this.#run);
    return 'ended';
  }

  async #hasLog(signal: AbortSignal): Promise<boolean> {
    for await (const batch of this.#parts.log.read(this.#run, signal)) {
      if (batch.length > 0) return true;
    }
    return false;
  }

  /** Follows the log; each batch of facts wakes the part that acts. */
  async #fold(stop: AbortSignal): Promise<void> {
    for await (const batch of this.#parts.log.follow(this.#run, 0, stop)) {
      for (const logged of batch) {
        if (logged.event.kind === 'run-published') {
          this.#published = { event: logged.event, at: logged.at };
          this.#state = await this.#begin(logged.event);
        }
        if (this.#state === undefined) continue;
        applyEvent(this.#state, logged);
        this.#moved.note(this.#state, logged.event);
      }
      if (this.#state === undefined || this.#state.ended !== undefined) return;
      this.#wake.ring();
    }
  }

  /** A graph that is nowhere, or is none, never will be: the run ends with the reason. */
  async #begin(published: RunPublished): Promise<RunState | undefined> {
    try {
      return initialRunState(await this.#parts.loadGraph(published));
    } catch (error) {
      if (error instanceof PortError && error.retryable) throw error;
      this.#parts.logger.error({ run: this.#run, err: error }, 'the graph of a run cannot be read');
      await endUnreadable(this.#parts, published, error);
      this.#isOver = true;
      return undefined;
    }
  }

  async #act(helpers: Helpers, stop: AbortSignal): Promise<void> {
    await this.#rememberOffers(stop);
    while (!stop.aborted) {
      try {
        if (this.#state !== undefined) await this.#actOn(this.#state, helpers);
      } catch (error) {
        this.#parts.logger.warn(
          { run: this.#run, err: error },
          'a driver step failed; trying again',
        );
        await this.#parts.clock.sleep(RETRY_MS, stop);
        this.#wake.ring();
      }
      await this.#wake.next(stop);
    }
  }

  async #actOn(state: RunState, { keeper, growth }: Helpers): Promise<void> {
    this.#forgetStarted(state);
    const tasks: number[] = [];
    const suspects: Suspect[] = [];
    const appends: Promise<unknown>[] = [];
    for (const decision of decide(state, this.#offered)) {
      switch (decision.kind) {
        case 'offer-task':
          tasks.push(decision.task);
          break;
        case 'decide-when':
        case 'expand-job': {
          const suspect = growth.look(state, decision.task);
          if (suspect !== undefined) suspects.push(suspect);
          break;
        }
        case 'find-lost':
          suspects.push(decision);
          break;
        case 'keep-outputs':
          keeper.begin(state, decision.task, decision.copies);
          break;
        case 'stop-task':
          appends.push(this.#stopTask(state, decision.task, decision.why));
          break;
        case 'fence-task':
          appends.push(this.#fence(state, decision.task, decision.sequence));
          break;
        case 'end-run':
          await this.#end(state, decision);
          break;
        default:
          unreachable(decision);
      }
    }
    await Promise.all(appends);
    const cleared = this.#losses.take(state, suspects);
    // Listings of gathered outputs are the driver's own, and may be gone as well.
    if (cleared.length > 0) this.#offerer.forgetGathered();
    const offers = [...tasks, ...cleared.filter((task) => isOfferable(state, task))];
    if (offers.length > 0) await this.#offerer.offer(state, offers);
    const unread = cleared.filter((task) => !isOfferable(state, task));
    if (unread.length > 0) await growth.readAgain(state, unread);
  }

  /** Refused: somebody started or fenced it first, and the log will tell us. */
  async #fence(state: RunState, task: number, sequence: Sequence): Promise<void> {
    const id = state.index.idOf(task);
    await this.#parts.log.append({ kind: 'task-cancelled', run: this.#run, task: id }, sequence);
  }

  /** Refused: it ended meanwhile by itself. Its peer finds out within seconds, and its own outcome is refused. */
  async #stopTask(state: RunState, task: number, why: string): Promise<void> {
    const now = state.tasks[task];
    if (now?.kind !== 'running') return;
    const { attempt, claim, sequence } = now;
    const failure = { kind: 'cancelled', message: why } as const;
    const what = { run: this.#run, task: state.index.idOf(task), attempt, claim, failure };
    await this.#parts.log.append({ kind: 'attempt-failed', ...what }, sequence);
  }

  async #end(state: RunState, decision: Extract<Decision, { kind: 'end-run' }>): Promise<void> {
    if (this.#published === undefined) return;
    await endRun(this.#parts, state, { published: this.#published, ...decision });
  }

  /** What is still queued from an earlier driver need not be offered again. */
  async #rememberOffers(stop: AbortSignal): Promise<void> {
    const waiting = await this.#parts.offers.waiting(this.#run).catch(() => new Set<never>());
    while (this.#state === undefined && !stop.aborted) await this.#wake.next(stop);
    const state = this.#state;
    if (state === undefined) return;
    for (const id of waiting) {
      const task = state.index.numberOf(id);
      if (task === undefined) continue;
      const now = state.tasks[task];
      if (now?.kind === 'ready') this.#offered.set(task, { attempt: now.past.length + 1, age: 0 });
    }
  }

  #forgetStarted(state: RunState): void {
    for (const task of this.#moved.take(this.#offered)) {
      const now = state.tasks[task];
      const attempt = this.#offered.get(task)?.attempt;
      if (now?.kind !== 'ready' || now.past.length + 1 !== attempt) this.#offered.delete(task);
    }
  }

  async #sweep(stop: AbortSignal): Promise<void> {
    const sweeper = new Sweeper(this.#parts, this.#run, this.#offered);
    while (!stop.aborted) {
      await this.#parts.clock.sleep(SWEEP_MS, stop);
      if (this.#state === undefined || stop.aborted) continue;
      try {
        this.#spent.tell(this.#state);
        if (await sweeper.sweep(this.#state)) this.#wake.ring();
      } catch (error) {
        this.#parts.logger.warn(
          { run: this.#run, err: error },
          'a sweep failed; the next one will do',
        );
      }
    }
  }
}

function hasSealedSecrets(graph: Graph | undefined): boolean {
  return Object.values(graph?.secrets ?? {}).some(({ from }) => from === 'publisher');
}
