import { ATTEMPTS_PER_TASK_MAX, type Logged } from '@podmesh/core';
import type { DrainOrder, Peer } from '@podmesh/daemon';
import type { SimMachine, Violation, World } from '@podmesh/testkit';
import type { SimPlace } from './sim-peer.ts';

/** What was under way when the order came is in the log by then, where nothing else goes wrong. */
const BEGUN_WITHIN_MS = 5_000;
/** Of virtual time, as the log tells it. */
const EPOCH_MS = Date.UTC(2026, 0, 1);

/** While a peer was to take nothing more. */
interface Window {
  readonly peer: string;
  readonly fromMs: number;
  toMs: number;
}

/**
 * People who want their machines back, and change their minds: drains with all kinds of deadlines, through crashes.
 * With `vanish` one machine that says it is drained is gone for good, with its disk, and nothing may be missed.
 */
export class DrainStorm {
  readonly #world: World;
  readonly #vanish: ((machine: SimMachine) => void) | undefined;
  readonly #peers = new Map<SimMachine, Peer>();
  readonly #windows: Window[] = [];
  #vanished: SimMachine | undefined;

  /** `vanish`: takes the machine and its disk away. */
  constructor(world: World, vanish?: (machine: SimMachine) => void) {
    this.#world = world;
    this.#vanish = vanish;
  }

  get place(): Pick<SimPlace, 'onPeer'> {
    return { onPeer: (peer, machine) => void this.#peers.set(machine, peer) };
  }

  /** Everybody claims again at `untilMs`. */
  schedule(count: number, untilMs: number): void {
    for (let index = 0; index < count; index += 1) {
      this.#world.sometime([0, untilMs], () => this.#drainSome());
    }
    this.#world.after(untilMs, () => {
      for (const machine of this.#world.machines) this.#undrain(machine);
    });
  }

  /** How often it happened. */
  get drains(): number {
    return this.#windows.length;
  }

  check(entries: readonly Logged[], isCalm: boolean): readonly Violation[] {
    const lost = entries.some(({ event }) => event.kind === 'outputs-lost');
    return [
      ...checkNobodyIsCharged(entries),
      ...(isCalm ? this.#checkNothingBegins(entries) : []),
      ...(this.#vanished !== undefined && lost
        ? [`${this.#vanished.name} was drained, and outputs went with it`]
        : []),
    ];
  }

  #drainSome(): void {
    const { random } = this.#world;
    const machine = random.pick(this.#world.machines);
    if (machine === undefined || machine === this.#vanished) return;
    const deadlineMs = random.pick([0, 1_000, 20_000, 120_000]) ?? 0;
    const order: DrainOrder = { by: 'the storm', deadlineMs };
    this.#world.note('world', 'drain', `${machine.name}, ${deadlineMs} ms`);
    machine.disk.set('drained', order);
    this.#windows.push({
      peer: machine.name,
      fromMs: this.#world.nowMs(),
      toMs: Number.POSITIVE_INFINITY,
    });
    const peer = this.#peers.get(machine);
    if (machine.process !== undefined && peer !== undefined)
      void peer.drain(order).then(() => this.#mayVanish(machine, peer));
    this.#world.sometime([1_000, 90_000], () => this.#undrain(machine));
  }

  #mayVanish(machine: SimMachine, peer: Peer): void {
    const { drained } = peer;
    if (this.#vanish === undefined || this.#vanished !== undefined) return;
    if (drained?.state !== 'drained' || drained.unkept > 0) return;
    this.#vanished = machine;
    this.#world.note('world', 'vanish', machine.name);
    this.#vanish(machine);
  }

  #undrain(machine: SimMachine): void {
    machine.disk.delete('drained');
    for (const window of this.#windows) {
      if (window.peer === machine.name) window.toMs = Math.min(window.toMs, this.#world.nowMs());
    }
    if (machine.process !== undefined) this.#peers.get(machine)?.undrain();
  }

  #checkNothingBegins(entries: readonly Logged[]): readonly Violation[] {
    return entries.flatMap(({ event, at }) => {
      if (event.kind !== 'attempt-started') return [];
      const atMs = Date.parse(at) - EPOCH_MS;
      const isDrained = this.#windows.some(
        ({ peer, fromMs, toMs }) =>
          peer === event.peer && atMs > fromMs + BEGUN_WITHIN_MS && atMs < toMs,
      );
      return isDrained ? [`${event.peer} began ${event.task} while it was drained`] : [];
    });
  }
}

/** No task ends because its last attempt was given back, unless its run was cancelled. */
function checkNobodyIsCharged(entries: readonly Logged[]): readonly Violation[] {
  const last = new Map<string, { readonly isDrained: boolean; readonly attempts: number }>();
  const over = new Set<string>();
  const cancelled = new Set<string>();
  for (const { event } of entries) {
    if (event.kind === 'run-cancel-requested') cancelled.add(event.run);
    if (event.kind === 'run-ended') over.add(event.run);
    if (event.kind === 'outputs-lost' || !('task' in event)) continue;
    const isDrained = event.kind === 'attempt-failed' && event.failure.kind === 'drained';
    const key = `${event.run} ${event.task}`;
    const attempts = (last.get(key)?.attempts ?? 0) + (event.kind === 'attempt-started' ? 1 : 0);
    last.set(key, { isDrained, attempts });
  }
  return [...last].flatMap(([key, { isDrained, attempts }]) => {
    const [run = ''] = key.split(' ');
    const isSpent = attempts >= ATTEMPTS_PER_TASK_MAX;
    if (!isDrained || isSpent || !over.has(run) || cancelled.has(run)) return [];
    return [`task ${key} was given back, and nobody did it`];
  });
}
