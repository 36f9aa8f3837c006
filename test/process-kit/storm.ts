import type { ClaimId } from '@podmesh/core';
import type { Mesh } from '@podmesh/jetstream';
import { Random } from '@podmesh/testkit';
import type { DaemonProcess } from './daemon-process.ts';
import type { PublishedRun } from './published-run.ts';
import { untilSeen } from './within.ts';

/** One blow falls each time this many more tasks have finished. */
const TASKS_PER_BLOW = 15;
const STANDS_MS = 300_000;

/** What befalls a peer: SIGKILL and a new start, or SIGSTOP until its claims have passed on. */
export interface Blow {
  readonly kind: 'kill' | 'freeze';
  /** Whether it fell on the peer that drove the run. */
  readonly driver: boolean;
  readonly peer: string;
}

/** In turn, then from the start again; `driver`: whoever drives then, else anybody. */
const PLAN: readonly Omit<Blow, 'peer'>[] = [
  { kind: 'freeze', driver: true },
  { kind: 'kill', driver: false },
  { kind: 'kill', driver: true },
  { kind: 'kill', driver: false },
  { kind: 'freeze', driver: false },
  { kind: 'kill', driver: true },
];

/** Kills and freezes peers all through one run: when is told by the run's facts, whom by the seed. */
export class Storm {
  readonly blows: Blow[] = [];
  readonly #peers: readonly DaemonProcess[];
  readonly #mesh: Mesh;
  readonly #run: PublishedRun;
  readonly #random: Random;
  /** Peers that stand: neither dead nor frozen. */
  readonly #standing: Set<DaemonProcess>;

  constructor(
    peers: readonly DaemonProcess[],
    parts: { readonly mesh: Mesh; readonly run: PublishedRun; readonly seed: number },
  ) {
    this.#peers = peers;
    this.#mesh = parts.mesh;
    this.#run = parts.run;
    this.#random = new Random(parts.seed);
    this.#standing = new Set(peers);
  }

  /** Resolves when the run has ended and every peer stands again. */
  async rage(): Promise<void> {
    const falling: Promise<void>[] = [];
    let finished = 0;
    for await (const { event } of this.#run.each()) {
      if (event.kind !== 'attempt-succeeded') continue;
      finished += 1;
      if (finished % TASKS_PER_BLOW === 0) falling.push(this.#strike(falling.length));
    }
    await Promise.all(falling);
  }

  async #strike(number: number): Promise<void> {
    const planned = PLAN[number % PLAN.length];
    // On a slow machine all of them may just be starting again.
    const told = () => `anybody to stand; ${this.#peers.map(({ said }) => said.slice(-1_000))}`;
    await untilSeen(STANDS_MS, told, () => this.#standing.size > 0);
    const victim = this.#choose(planned?.driver === true);
    if (planned === undefined || victim === undefined) return;
    // Never two at once: one peer has to be left that can notice.
    const frozen = this.#standing.size < this.#peers.length;
    this.#standing.delete(victim);
    if (planned.kind === 'freeze' && !frozen) await this.#freeze(victim);
    else {
      this.#note('kill', victim);
      await victim.kill();
      await victim.start();
    }
    this.#standing.add(victim);
  }

  #choose(driver: boolean): DaemonProcess | undefined {
    const standing = this.#peers.filter((peer) => this.#standing.has(peer));
    const any = this.#random.pick(standing);
    const drives = (peer: DaemonProcess): boolean => peer.isDriving(this.#run.run);
    return driver ? (standing.find(drives) ?? any) : any;
  }

  #note(kind: Blow['kind'], victim: DaemonProcess): void {
    this.blows.push({ kind, driver: victim.isDriving(this.#run.run), peer: victim.name });
  }

  /** Stops it in the middle of an attempt, and wakes it up when another peer has declared that lost. */
  async #freeze(victim: DaemonProcess): Promise<void> {
    const claim = await this.#freezeAtWork(victim);
    if (claim === undefined) return;
    this.#note('freeze', victim);
    try {
      await this.#run.until('attempt-lost', (event) => event.claim === claim);
    } finally {
      victim.thaw();
    }
  }

  async #freezeAtWork(victim: DaemonProcess): Promise<ClaimId | undefined> {
    for await (const { event } of this.#run.each(this.#run.facts.length)) {
      if (event.kind !== 'attempt-started' || event.peer !== victim.name) continue;
      victim.freeze();
      const last = await this.#mesh.runLog.lastOfTask(event.run, event.task);
      if (last?.event.kind === 'attempt-started') return event.claim;
      // It was quicker than we: next time.
      victim.thaw();
    }
    return undefined;
  }
}
