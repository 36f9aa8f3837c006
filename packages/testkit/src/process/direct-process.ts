import type { Clock } from '@podmesh/core';
import { Random } from '../random.ts';
import type { Cancel, Scheduler } from '../time/scheduler.ts';
import type { CallTarget, Delivery, FakeProcess } from './fake-process.ts';
import { sleepUntil } from './sleep.ts';

/**
 * A process to which nothing ever happens: calls answer in the next microtask. For unit tests, the
 * conformance suites and benches, in real or virtual time.
 */
export class DirectProcess implements FakeProcess {
  readonly name: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly alive = true;
  private readonly scheduler: Scheduler;
  private cut = false;

  constructor(name: string, scheduler: Scheduler) {
    this.name = name;
    this.scheduler = scheduler;
    this.random = new Random(name);
    this.clock = {
      nowMs: () => scheduler.nowMs(),
      sleep: (ms, signal) => sleepUntil((wake) => this.after(ms, wake), signal),
    };
  }

  /** From now on no request arrives, and none is answered: what a pulled cable looks like. */
  cutOff(): void {
    this.cut = true;
  }

  async call<T>(_label: string, effect: () => T, target: CallTarget = 'server'): Promise<T> {
    if (this.cut && target === 'server') return new Promise(() => undefined);
    return effect();
  }

  callFromThread<T>(label: string, effect: () => T): Promise<T> {
    return this.call(label, effect);
  }

  send(_label: string, effect: () => void): void {
    if (!this.cut) effect();
  }

  receive(delivery: Delivery): boolean {
    if (this.cut && delivery.local !== true) return false;
    queueMicrotask(delivery.action);
    return true;
  }

  after(delayMs: number, action: () => void): Cancel {
    return this.scheduler.after(delayMs, action);
  }

  onDeath(): Cancel {
    return () => undefined;
  }
}
