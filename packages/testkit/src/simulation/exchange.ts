import { PortError } from '@podmesh/core';
import type { CallTarget, ProcessThread } from '../process/fake-process.ts';
import type { FaultKind } from './fault-plan.ts';
import type { SimProcess } from './sim-process.ts';
import type { World } from './world.ts';

/** One call of a process, with the fate that the plan chose for it. */
export interface CallRequest<T> {
  readonly label: string;
  readonly effect: () => T;
  readonly target: CallTarget;
  readonly thread: ProcessThread;
  readonly fault: FaultKind | undefined;
}

/** The wire did not answer in time; whether the effect happened is unknown to the caller. */
export class FakeTimeoutError extends PortError {
  constructor(label: string) {
    super(`no answer to ${label}`, { retryable: true });
  }
}

/** Carries a request to the world and its answer back, through everything that may happen between. */
export function exchange<T>(
  world: World,
  process: SimProcess,
  request: CallRequest<T>,
): Promise<T> {
  return new Promise((resolve, reject) => {
    new Exchange(world, process, request, { resolve, reject }).begin();
  });
}

interface Caller<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (error: unknown) => void;
}

class Exchange<T> {
  private readonly world: World;
  private readonly process: SimProcess;
  private readonly request: CallRequest<T>;
  private readonly caller: Caller<T>;

  constructor(world: World, process: SimProcess, request: CallRequest<T>, caller: Caller<T>) {
    this.world = world;
    this.process = process;
    this.request = request;
    this.caller = caller;
  }

  begin(): void {
    const { world, process, request } = this;
    if (request.fault === 'crash-before') process.crash(`before ${request.label}`);
    else if (request.fault === 'lose-request') this.timeOut('request lost');
    else {
      if (request.fault === 'freeze-before') process.freeze(world.span(world.plan.freezeMs));
      if (request.fault === 'cut-off') process.cutOff(world.span(world.plan.cutOffMs));
      process.enter(() => this.travel(), 'helper');
    }
  }

  private travel(delayMs = 0): void {
    this.world.after(delayMs + this.world.latency(), () => this.arrive());
  }

  /** A dead caller's request is lost with it; one that finds no server waits or fails, as clients do. */
  private arrive(): void {
    const { process, request, world } = this;
    const awayMs = request.target === 'server' ? process.unreachableMs() : 0;
    if (!process.alive) world.note(process.name, request.label, 'died with its caller');
    else if (awayMs === 0) this.happen();
    else if (world.random.chance(0.5)) this.timeOut('server unreachable');
    else this.travel(awayMs);
  }

  private happen(): void {
    const { process, request, world } = this;
    const { outcome, settle } = this.effect();
    if (request.fault === 'crash-after') process.crash(`after ${request.label}`);
    else if (request.fault === 'lose-answer') this.timeOut('answer lost');
    else {
      if (request.fault === 'freeze-after') process.freeze(world.span(world.plan.freezeMs));
      this.answer(outcome, settle, world.latency());
    }
  }

  /** An error other than `PortError` is a bug of the fakes. */
  private effect(): { readonly outcome: string; readonly settle: () => void } {
    try {
      const value = this.request.effect();
      return { outcome: outcomeOf(value), settle: () => this.caller.resolve(value) };
    } catch (error) {
      if (!(error instanceof PortError)) this.world.fail(error);
      return { outcome: String(error), settle: () => this.caller.reject(error) };
    }
  }

  private timeOut(why: string): void {
    const { label } = this.request;
    const { timeoutMs } = this.world.plan;
    this.answer(why, () => this.caller.reject(new FakeTimeoutError(label)), timeoutMs);
  }

  private answer(outcome: string, settle: () => void, delayMs: number): void {
    this.world.note(this.process.name, this.request.label, outcome);
    this.world.after(delayMs, () => this.process.enter(settle, this.request.thread));
  }
}

/** Enough of a value to tell two traces apart. */
function outcomeOf(value: unknown): string {
  if (typeof value !== 'object' || value === null) return value === undefined ? 'ok' : `${value}`;
  if ('ok' in value && value.ok === false) return 'refused';
  if ('value' in value && typeof value.value === 'number') return `ok ${value.value}`;
  if (value instanceof Map || value instanceof Set) return `ok, ${value.size} found`;
  return Array.isArray(value) ? `ok, ${value.length} found` : 'ok';
}
