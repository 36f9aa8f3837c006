import type { Clock } from '@podmesh/core';
import type { Random } from '../random.ts';
import type { Cancel } from '../time/scheduler.ts';

/** What a call goes to. Only calls to the server are hit by outages and cut wires. */
export type CallTarget = 'server' | 'machine';

/**
 * Which part of a process waits: the main loop may be blocked (hashing, a long `JSON.parse`) while a
 * helper thread goes on; a freeze stops both.
 */
export type ProcessThread = 'main' | 'helper';

/** A message on its way to a process that did not ask for this very one. */
export interface Delivery {
  /** What the trace calls it. */
  readonly label: string;
  /** It may vanish on the way: a hint, or a message that the queue delivers again. */
  readonly lossy?: boolean;
  /** It may come very late: a watch that fell silent until its watchdog woke it. */
  readonly silence?: boolean;
  /** It comes from the process's own machine: no outage holds it up. */
  readonly local?: boolean;
  readonly action: () => void;
}

/**
 * A daemon's process as the fakes see it. Every exchange with the world is a step boundary: there it
 * may be slow, fail, freeze or die. Nothing it awaits resolves while it is frozen, or after its death.
 */
export interface FakeProcess {
  readonly name: string;
  /** Its monotonic clock; a sleep that ends while it is frozen is over when it thaws. */
  readonly clock: Clock;
  /** Randomness of the fakes that serve this process. */
  readonly random: Random;
  /** False once it has died. */
  readonly alive: boolean;
  /** A request, its effect, and its answer. */
  call<T>(label: string, effect: () => T, target?: CallTarget): Promise<T>;
  /** The same by a helper thread, which the fault plan leaves alone. */
  callFromThread<T>(label: string, effect: () => T): Promise<T>;
  /** A message to the server that nobody answers; in order, but it may be lost. */
  send(label: string, effect: () => void): void;
  /** False: it was lost on the way. */
  receive(delivery: Delivery): boolean;
  /** A timer of its own. */
  after(delayMs: number, action: () => void, thread?: ProcessThread): Cancel;
  /** What the outside sees when it dies: its connections close. Takes back the listener. */
  onDeath(action: () => void): Cancel;
}
