import {
  type KeepOrder,
  type Logged,
  type PeerId,
  peerId,
  type RunId,
  type TaskId,
} from '@podmesh/core';
import type { SimMachine, Violation, World } from '@podmesh/testkit';
import { SimDisk } from './sim-disk.ts';
import type { SimPlace } from './sim-peer.ts';

/** A confirmation is in the log this long after it was given, if ever: round, append, and their retries. */
const TOLD_WITHIN_MS = 5 * 60 * 1_000;
/** Of virtual time, as the log tells it. */
const EPOCH_MS = Date.UTC(2026, 0, 1);

/**
 * Watches over copies of outputs, from outside. What `outputs-kept` says without a `short` must be true: so many
 * different peers had confirmed to have everything, and unless its disk was taken away from it, each still has it at
 * the end. Then the disk of the producer may go right after the end of the run, and all of it is there.
 */
export class CopyWatch {
  readonly #world: World;
  readonly #confirmed = new Set<string>();
  readonly #wipedAtMs = new Map<PeerId, number>();

  constructor(world: World) {
    this.#world = world;
  }

  get place(): Pick<SimPlace, 'machineOf' | 'onKept'> {
    return {
      machineOf: (peer) => this.#machineOf(peer),
      onKept: (peer, { run, task }: KeepOrder) => this.#confirmed.add(keyOf(peer, run, task)),
    };
  }

  /** So often all large artifacts of some machine are lost at once. */
  scheduleWipes(count: number, untilMs: number): void {
    for (let index = 0; index < count; index += 1) {
      this.#world.sometime([0, untilMs], () => {
        const victim = this.#world.random.pick(this.#world.machines);
        if (victim !== undefined) this.wipe(victim);
      });
    }
  }

  /** All large artifacts of the machine are lost. */
  wipe(victim: SimMachine): void {
    this.#world.note('world', 'wipe-disk', victim.name);
    SimDisk.wipe(victim);
    this.#wipedAtMs.set(peerId(victim.name), this.#world.nowMs());
  }

  check(entries: readonly Logged[]): readonly Violation[] {
    return entries.flatMap(({ event, at }) => {
      if (event.kind !== 'outputs-kept' || event.short !== undefined) return [];
      const { run, task, keepers, wanted } = event;
      const told = `run ${run}, task ${task}:`;
      const violations: Violation[] = [];
      if (new Set(keepers).size !== keepers.length || keepers.length < wanted)
        violations.push(`${told} ${keepers} are not ${wanted} keepers`);
      for (const peer of keepers) {
        if (!this.#confirmed.has(keyOf(peer, run, task)))
          violations.push(`${told} ${peer} never said that it has its outputs`);
        const machine = this.#machineOf(peer);
        const wipedAtMs = this.#wipedAtMs.get(peer) ?? Number.NEGATIVE_INFINITY;
        const isWiped = wipedAtMs > Date.parse(at) - EPOCH_MS - TOLD_WITHIN_MS;
        if (!isWiped && machine !== undefined && !SimDisk.holds(machine, run, task))
          violations.push(`${told} ${peer} has lost its outputs`);
      }
      return violations;
    });
  }

  #machineOf(peer: PeerId): SimMachine | undefined {
    return this.#world.machines.find(({ name }) => name === peer);
  }
}

const keyOf = (peer: PeerId, run: RunId, task: TaskId): string => `${peer} ${run} ${task}`;
