import type { Clock } from '@podmesh/core';
import type { CallTarget, Delivery, FakeProcess, ProcessThread } from '../process/fake-process.ts';
import { sleepUntil } from '../process/sleep.ts';
import type { Random } from '../random.ts';
import type { Cancel } from '../time/scheduler.ts';
import { exchange } from './exchange.ts';
import type { World } from './world.ts';

/** `exited`: by its own will, so nobody starts it again. */
export type ProcessState = 'running' | 'frozen' | 'crashed' | 'exited';

interface Held {
  readonly action: () => void;
  readonly thread: ProcessThread;
}

/**
 * One incarnation of a simulated daemon. Its code runs only inside `enter`, which holds everything
 * back while it is frozen (or its main loop is blocked) and drops everything once it is dead.
 */
export class SimProcess implements FakeProcess {
  readonly name: string;
  readonly clock: Clock;
  readonly random: Random;
  private readonly world: World;
  private readonly deathListeners = new Set<() => void>();
  private held: Held[] = [];
  private current: ProcessState = 'running';
  private blockedUntilMs = 0;
  private connectedAgainMs = 0;
  private freezes = 0;

  constructor(world: World, name: string) {
    this.world = world;
    this.name = name;
    this.random = world.random.fork(name);
    this.clock = {
      nowMs: () => world.nowMs(),
      sleep: (ms, signal) => sleepUntil((wake) => this.after(ms, wake), signal),
    };
  }

  get state(): ProcessState {
    return this.current;
  }

  get alive(): boolean {
    return this.current === 'running' || this.current === 'frozen';
  }

  get exited(): boolean {
    return this.current === 'exited';
  }

  /** A fresh id: for sessions and claims. Different in every incarnation. */
  newId(): string {
    return this.random.letters(12);
  }

  call<T>(label: string, effect: () => T, target: CallTarget = 'server'): Promise<T> {
    if (!this.alive) return new Promise(() => undefined);
    const fault = this.world.nextFault();
    return exchange(this.world, this, { label, effect, target, thread: 'main', fault });
  }

  callFromThread<T>(label: string, effect: () => T): Promise<T> {
    if (!this.alive) return new Promise(() => undefined);
    const request = {
      label,
      effect,
      target: 'server',
      thread: 'helper',
      fault: undefined,
    } as const;
    return exchange(this.world, this, request);
  }

  send(label: string, effect: () => void): void {
    const { plan, random } = this.world;
    const lost = this.unreachableMs() > 0 || random.chance(plan.lostDeliveryChance);
    if (!this.alive || lost) return;
    this.world.after(plan.latencyMs[1], () => {
      this.world.note(this.name, label, 'sent');
      effect();
    });
  }

  receive(delivery: Delivery): boolean {
    const { world } = this;
    const { plan } = world;
    const awayMs = delivery.local ? 0 : this.unreachableMs();
    const mayVanish = delivery.lossy === true;
    if (mayVanish && (awayMs > 0 || world.random.chance(plan.lostDeliveryChance))) {
      world.note(this.name, delivery.label, 'lost');
      return false;
    }
    const silent = delivery.silence === true && world.random.chance(plan.silenceChance);
    const delayMs = awayMs + world.latency() + (silent ? world.span(plan.silenceMs) : 0);
    world.after(delayMs, () =>
      this.enter(() => {
        world.note(this.name, delivery.label, 'received');
        delivery.action();
      }),
    );
    return true;
  }

  after(delayMs: number, action: () => void, thread: ProcessThread = 'main'): Cancel {
    let cancelled = false;
    const cancel = this.world.after(delayMs, () =>
      this.enter(() => {
        if (!cancelled) action();
      }, thread),
    );
    return () => {
      cancelled = true;
      cancel();
    };
  }

  onDeath(action: () => void): Cancel {
    this.deathListeners.add(action);
    return () => this.deathListeners.delete(action);
  }

  /** Runs code of this process: now, when it can run again, or never. */
  enter(action: () => void, thread: ProcessThread = 'main'): void {
    if (!this.alive) return;
    const blocked = thread === 'main' && this.blockedUntilMs > this.world.nowMs();
    if (this.current === 'frozen' || blocked) this.held.push({ action, thread });
    else action();
  }

  /** SIGKILL: nothing it awaits ever resolves, no request that has not arrived ever will. */
  crash(why: string): void {
    this.end('crashed', why);
  }

  /** It ended by itself, after its `stop()`. */
  exit(): void {
    this.end('exited', 'by itself');
  }

  /** SIGSTOP for `ms`: requests under way still arrive, answers wait for it. */
  freeze(ms: number): void {
    if (this.current !== 'running') return;
    this.current = 'frozen';
    this.freezes += 1;
    const freeze = this.freezes;
    this.world.note(this.name, 'freeze', `${ms} ms`);
    this.world.after(ms, () => {
      if (freeze === this.freezes) this.thaw();
    });
  }

  /** SIGCONT: all that waited arrives, in order. */
  thaw(): void {
    if (this.current !== 'frozen') return;
    this.current = 'running';
    this.world.note(this.name, 'thaw', `${this.held.length} waiting`);
    this.release();
  }

  /** The main loop computes for `ms`; helper threads go on. */
  block(ms: number): void {
    this.blockedUntilMs = Math.max(this.blockedUntilMs, this.world.nowMs() + ms);
    this.world.after(ms, () => this.release());
  }

  /** Its wire to the server is cut for `ms`. */
  cutOff(ms: number): void {
    this.world.note(this.name, 'cut off', `${ms} ms`);
    this.connectedAgainMs = Math.max(this.connectedAgainMs, this.world.nowMs() + ms);
  }

  /** Milliseconds until it can reach the server, whichever side is to blame. */
  unreachableMs(): number {
    return Math.max(this.connectedAgainMs - this.world.nowMs(), this.world.outageLeftMs(), 0);
  }

  heal(): void {
    this.connectedAgainMs = 0;
    this.thaw();
  }

  private release(): void {
    const held = this.held;
    this.held = [];
    for (const { action, thread } of held) {
      this.world.after(0, () => this.enter(action, thread));
    }
  }

  private end(state: ProcessState, why: string): void {
    if (!this.alive) return;
    this.current = state;
    this.held = [];
    this.world.note(this.name, state, why);
    for (const listener of [...this.deathListeners]) listener();
    this.deathListeners.clear();
  }
}
