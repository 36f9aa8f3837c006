import {
  type Graph,
  type Link,
  parseGraph,
  peerId,
  WAKE_CALLS_MAX,
  WAKE_PATIENCE_MS,
} from '@podmesh/core';
import { type Peer, SleepDesk, sha256, Waker } from '@podmesh/daemon';
import type { MeshPorts, SimMachine, SimProcess, Violation, World } from '@podmesh/testkit';
import pino from 'pino';

const HOME = '10.0.0.0/8';
const silent = pino({ level: 'silent' });
/** logind lets a machine sleep after this, whatever is still to be said. */
const GOOD_NIGHT_MS = 4_000;
/** From the magic packet until the machine is there. */
const RISE_MS: readonly [number, number] = [3_000, 30_000];
/** Longer than any simulation. */
const NIGHT_MS = 30 * 24 * 60 * 60 * 1_000;

interface Bed {
  readonly machine: SimMachine;
  readonly process: SimProcess;
  readonly desk: SleepDesk;
  isAsleep: boolean;
}

/**
 * Machines that fall asleep, all but one, and are woken by others or never: some hear nothing, and the owners of some
 * want nobody to wake them.
 */
export class SleepStorm {
  readonly #world: World;
  readonly #isCalm: boolean;
  readonly #beds = new Map<string, Bed>();
  readonly #deaf = new Set<string>();
  readonly #unwilling = new Set<string>();
  readonly #calls: { readonly machine: string; readonly atMs: number }[] = [];
  readonly #violations: Violation[] = [];
  #woken = 0;

  constructor(world: World, isCalm: boolean) {
    this.#world = world;
    this.#isCalm = isCalm;
  }

  /** Facts for the peer's heartbeat. */
  readonly networks = [HOME];

  /** More than one peer does in a minute. */
  static graph(): Graph {
    const whole = { cpus: 4 };
    const job = { id: 'long', container: 'localhost/tool:1', command: ['work'], outputs: {} };
    const jobs = [{ ...job, count: 40, needs: whole, cache: false }];
    const graph = parseGraph({ version: 1, jobs }, sha256);
    if (!graph.ok) throw new Error(JSON.stringify(graph.error));
    return graph.value;
  }

  /** A daemon has started on the machine. */
  join(peer: Peer, machine: SimMachine, process: SimProcess, ports: MeshPorts): void {
    const common = { peer: peerId(machine.name), clock: process.clock, logger: silent };
    const forbids = this.#unwilling.has(machine.name) ? { forbids: 'its owner' } : {};
    const desk = new SleepDesk({
      ...common,
      machine: peer,
      sleepers: ports.sleepers,
      owner: { sleepWish: { quiet: [], ...forbids } },
      links: async () => [{ mac: machine.name, network: HOME }],
      hostname: machine.name,
      timeZone: 'UTC',
      now: () => this.#world.nowMs(),
    });
    desk.start();
    const waker = new Waker({
      ...common,
      peers: ports.peers,
      sleepers: ports.sleepers,
      networks: () => [HOME],
      send: async (links) => this.#send(links),
      now: () => this.#world.nowMs(),
    });
    waker.start();
    this.#beds.set(machine.name, { machine, process, desk, isAsleep: false });
  }

  /** Everybody is awake from `untilMs` on. */
  schedule(count: number, untilMs: number): void {
    const { random, machines } = this.#world;
    const [, ...others] = machines;
    for (const { name } of others) {
      if (random.chance(0.2)) this.#deaf.add(name);
      if (random.chance(0.2)) this.#unwilling.add(name);
    }
    for (let index = 0; index < count; index += 1) {
      this.#world.sometime([0, untilMs / 2], () => this.#fallAsleep(random.pick(others)));
    }
    this.#world.after(untilMs, () => this.wakeAll());
  }

  /** By hand. */
  wakeAll(): void {
    for (const bed of this.#beds.values()) this.#rise(bed);
  }

  /** How often a machine came because it was called. */
  get woken(): number {
    return this.#woken;
  }

  check(): readonly Violation[] {
    return [...this.#violations, ...this.#checkCalls()];
  }

  #fallAsleep(machine: SimMachine | undefined): void {
    const bed = this.#beds.get(machine?.name ?? '');
    if (bed === undefined || bed.isAsleep || bed.process.state !== 'running') return;
    bed.isAsleep = true;
    this.#world.note('world', 'sleep', bed.machine.name);
    void bed.desk.goodNight();
    this.#world.after(GOOD_NIGHT_MS, () => bed.isAsleep && bed.process.freeze(NIGHT_MS));
  }

  #send(links: readonly Link[]): void {
    for (const { mac: name } of links) {
      const bed = this.#beds.get(name);
      this.#world.note('world', 'magic packet', name);
      this.#calls.push({ machine: name, atMs: this.#world.nowMs() });
      if (this.#unwilling.has(name)) this.#violations.push(`${name} was woken against its owner`);
      if (bed === undefined || !bed.isAsleep || this.#deaf.has(name)) continue;
      this.#world.sometime(RISE_MS, () => {
        if (bed.isAsleep) this.#woken += 1;
        this.#rise(bed);
      });
    }
  }

  #rise(bed: Bed): void {
    if (!bed.isAsleep) return;
    bed.isAsleep = false;
    bed.process.thaw();
    bed.process.enter(() => void bed.desk.goodMorning());
  }

  /** One call after the other, and no more than are allowed for nothing. */
  #checkCalls(): readonly Violation[] {
    const byMachine = new Map<string, number[]>();
    for (const { machine, atMs } of this.#calls)
      byMachine.set(machine, [...(byMachine.get(machine) ?? []), atMs]);
    return [...byMachine].flatMap(([machine, times]) => {
      const tooSoon = times.some((atMs, index) => {
        const before = times[index - 1];
        return this.#deaf.has(machine) && before !== undefined && atMs - before < WAKE_PATIENCE_MS;
      });
      const tooOften = this.#deaf.has(machine) && times.length > WAKE_CALLS_MAX;
      if (!this.#isCalm || !(tooSoon || tooOften)) return [];
      return [`${machine} was called at ${times.join(', ')} ms`];
    });
  }
}
