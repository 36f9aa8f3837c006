import { setImmediate } from 'node:timers';
import { EventQueue, type TimedEvent } from './time/event-queue.ts';
import type { Cancel, Scheduler } from './time/scheduler.ts';

/** Why a run of virtual time came to its end. */
export type RunEnd = 'done' | 'time' | 'idle';

/**
 * Turns kept waiting in Node's immediate queue. Node drains all microtasks and next-ticks between
 * two immediates of the same loop turn, so one event per immediate is exactly "run the event, then
 * everything that follows from it", without counting promise hops. Many at once spare the loop's
 * system calls: 0.14 µs per event instead of 0.98 µs (measured, Node 20).
 */
const TURNS_IN_FLIGHT = 64;

/**
 * Virtual time in one thread: events in the order of (time, scheduling). Nothing passes while nothing
 * runs, and equal schedules give equal runs as long as the code between events does no real IO.
 */
export class VirtualClock implements Scheduler {
  private readonly queue = new EventQueue();
  private now = 0;
  private order = 0;
  private running = false;
  private failure: { readonly error: unknown } | undefined;
  private outsideWork: Promise<unknown> = Promise.resolve();
  private outsideCount = 0;
  /** Events run so far. */
  eventCount = 0;

  nowMs(): number {
    return this.now;
  }

  after(delayMs: number, action: () => void): Cancel {
    const event: TimedEvent = {
      atMs: this.now + Math.max(0, delayMs),
      order: this.order,
      action,
    };
    this.order += 1;
    this.queue.push(event);
    return () => {
      event.action = undefined;
    };
  }

  /** Ends the run that is in progress, or the next one, with this error. */
  fail(error: unknown): void {
    this.failure ??= { error };
  }

  /**
   * Runs events until `done` says so, time reaches `untilMs`, or nothing is scheduled. At `time`, the
   * clock stands at `untilMs` exactly.
   */
  run(untilMs: number, done?: () => boolean): Promise<RunEnd> {
    if (this.running) throw new Error('this virtual clock is already being run');
    this.running = true;
    return new Promise((resolve, reject) => {
      let over = false;
      const finish = (end: RunEnd) => {
        over = true;
        this.running = false;
        const failure = this.failure;
        this.failure = undefined;
        if (failure === undefined) resolve(end);
        else reject(failure.error);
      };
      const turn = () => {
        if (over) return;
        const end = this.step(untilMs, done);
        if (end === undefined) setImmediate(turn);
        else finish(end);
      };
      for (let count = 0; count < TURNS_IN_FLIGHT; count += 1) setImmediate(turn);
    });
  }

  /**
   * Real asynchronous work (a file, a hash in a worker) inside of virtual time, which stands still
   * until it is done. One piece at a time, so that the order of their results is always the same.
   */
  outside<T>(work: () => Promise<T>): Promise<T> {
    this.outsideCount += 1;
    const result = this.outsideWork.then(work);
    const finished = new Promise<T>((resolve, reject) => {
      result.then(
        (value) => this.after(0, () => resolve(value)),
        (error) => this.after(0, () => reject(error)),
      );
    });
    this.outsideWork = result
      .catch(() => undefined)
      .then(() => {
        this.outsideCount -= 1;
      });
    return finished;
  }

  /** Lets `ms` pass. */
  async advance(ms: number): Promise<void> {
    await this.run(this.now + ms);
  }

  private step(untilMs: number, done: (() => boolean) | undefined): RunEnd | undefined {
    if (this.outsideCount > 0) return undefined;
    if (this.failure !== undefined || done?.()) return 'done';
    const next = this.queue.peek();
    if (next === undefined || next.atMs > untilMs) {
      if (Number.isFinite(untilMs)) this.now = Math.max(this.now, untilMs);
      return next === undefined ? 'idle' : 'time';
    }
    this.queue.pop();
    const { action } = next;
    if (action === undefined) return undefined;
    this.now = next.atMs;
    this.eventCount += 1;
    try {
      action();
    } catch (error) {
      this.fail(error);
    }
    return undefined;
  }
}
