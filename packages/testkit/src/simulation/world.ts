import { Random } from '../random.ts';
import type { Cancel } from '../time/scheduler.ts';
import { VirtualClock } from '../virtual-clock.ts';
import { CALM, type FaultKind, type FaultPlan, type Span } from './fault-plan.ts';
import { type Boot, SimMachine } from './sim-machine.ts';

/** What makes a world. */
export interface WorldOptions {
  readonly seed: string | number;
  /** Nothing goes wrong without one. */
  readonly plan?: FaultPlan;
  /** False spares the memory of the trace in long benches. */
  readonly keepTrace?: boolean;
}

/**
 * Machines, the wires between them and the server, and virtual time; all chance comes from one seed.
 * Two worlds with equal seeds, plans and programs have equal traces.
 */
export class World extends VirtualClock {
  readonly random: Random;
  readonly machines: SimMachine[] = [];
  /** What happened at every step boundary: `<ms> <process> <label>: <outcome>`. */
  readonly trace: string[] = [];
  /** Calls of all processes so far; the number that `FaultPlan.at` counts. */
  callCount = 0;
  /** The server answers nobody before this time. */
  private serverBackMs = 0;
  private current: FaultPlan = CALM;
  private chances: readonly (readonly [FaultKind, number])[] = [];
  private readonly keepTrace: boolean;

  constructor(options: WorldOptions) {
    super();
    this.random = new Random(options.seed);
    this.follow(options.plan ?? CALM);
    this.keepTrace = options.keepTrace ?? true;
    const { faultsUntilMs } = this.current;
    if (faultsUntilMs > 0 && Number.isFinite(faultsUntilMs)) {
      this.after(faultsUntilMs, () => this.heal());
    }
  }

  get plan(): FaultPlan {
    return this.current;
  }

  /** A machine whose daemon is `boot`; call `start()` on it. */
  machine(name: string, boot: Boot): SimMachine {
    const machine = new SimMachine(this, name, boot);
    this.machines.push(machine);
    return machine;
  }

  /** Nothing goes wrong any more, and whatever is broken is repaired: from now on everything must end. */
  heal(): void {
    this.note('world', 'heal', 'all faults are over');
    this.follow({ ...CALM, timeoutMs: this.current.timeoutMs });
    this.serverBackMs = 0;
    for (const machine of this.machines) machine.heal();
  }

  /** The server is gone for `ms`: calls wait or fail, pushes come late. */
  outage(ms: number): void {
    this.note('world', 'outage', `${ms} ms`);
    this.serverBackMs = Math.max(this.serverBackMs, this.nowMs() + ms);
  }

  /** Milliseconds until the server answers again. */
  outageLeftMs(): number {
    return Math.max(0, this.serverBackMs - this.nowMs());
  }

  /** The fate of the next call. */
  nextFault(): FaultKind | undefined {
    this.callCount += 1;
    const fixed = this.current.at.get(this.callCount);
    if (fixed !== undefined) return fixed;
    return this.chances.find(([, chance]) => this.random.chance(chance))?.[0];
  }

  /** How long one message takes one way. */
  latency(): number {
    const { slowChance, slowMs, latencyMs } = this.current;
    return this.span(this.random.chance(slowChance) ? slowMs : latencyMs);
  }

  span([low, high]: Span): number {
    return this.random.between(low, high);
  }

  note(who: string, label: string, outcome: string): void {
    if (this.keepTrace) this.trace.push(`${this.nowMs()} ${who} ${label}: ${outcome}`);
  }

  /** A disturbance from outside, at a random time of the span. */
  sometime(within: Span, action: () => void): Cancel {
    return this.after(this.span(within), action);
  }

  private follow(plan: FaultPlan): void {
    this.current = plan;
    this.chances = Object.entries(plan.chances) as [FaultKind, number][];
  }
}
