import type { Clock, Link, NotedSleeper, PeerId, SleepingPeer, SleepingPeers } from '@podmesh/core';
import type { Logger } from 'pino';
import type { Peer } from '../peer.ts';
import type { OwnerWatch } from './owner-watch.ts';

/** The network of a machine that has just woken takes its time. */
const RETRY_MS = 2_000;

export interface SleepDeskParts {
  readonly peer: PeerId;
  readonly machine: Pick<Peer, 'goodNight' | 'goodMorning' | 'offering' | 'unfit' | 'ended'>;
  readonly sleepers: Pick<SleepingPeers, 'note' | 'forget' | 'list'>;
  readonly owner: Pick<OwnerWatch, 'sleepWish'>;
  /** Cards by which it can be woken. */
  readonly links: () => Promise<readonly Link[]>;
  readonly hostname: string;
  readonly timeZone: string;
  /** Wall clock. */
  readonly now: () => number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Leaves a note who sleeps here and how it is woken, and takes it back in the morning. */
export class SleepDesk {
  readonly #parts: SleepDeskParts;
  readonly #stop = new AbortController();
  /** Aborted when the next night begins. */
  #day = new AbortController();
  #work: Promise<void> = Promise.resolve();
  /** How it was called since it did any work, as its note said. */
  #calls: SleepingPeer['calls'];
  #endedAtDawn = 0;

  constructor(parts: SleepDeskParts) {
    this.#parts = parts;
  }

  /** It is awake: a note of an earlier session is wrong. */
  start(): void {
    if (!this.#stop.signal.aborted) this.#rise();
  }

  /** Harmless when never started, or twice. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#work;
  }

  /** The note is left first: it is all that the mesh will have of this machine. */
  async goodNight(): Promise<void> {
    this.#day.abort();
    const { machine, sleepers, logger } = this.#parts;
    const noting = this.#work
      .then(async () => sleepers.note(await this.#sleeper()))
      .catch((error: unknown) => logger.warn({ err: error }, 'nobody can wake this machine'));
    this.#work = noting;
    await Promise.all([noting, machine.goodNight()]);
  }

  async goodMorning(): Promise<void> {
    this.#rise();
    await this.#parts.machine.goodMorning();
  }

  async #sleeper(): Promise<SleepingPeer> {
    const { peer, machine, owner, hostname, timeZone, now } = this.#parts;
    const { forbids, quiet } = owner.sleepWish;
    const why = machine.unfit ?? forbids;
    // Woken for nothing time and again, or for what no day is long enough for, it would be so for ever if each sleep
    // began anew: what this night gives back is nothing that was done.
    if (machine.ended > this.#endedAtDawn) this.#calls = undefined;
    const calls = this.#calls;
    return {
      peer,
      hostname,
      since: new Date(now()).toISOString(),
      offering: machine.offering,
      links: await this.#parts.links(),
      ...(why === undefined ? {} : { forbids: why }),
      quiet,
      timeZone,
      ...(calls === undefined ? {} : { calls }),
    };
  }

  #rise(): void {
    this.#day.abort();
    this.#day = new AbortController();
    this.#endedAtDawn = this.#parts.machine.ended;
    const signal = AbortSignal.any([this.#stop.signal, this.#day.signal]);
    this.#work = this.#work.then(() => this.#takeBack(signal));
  }

  /** Until the mesh has heard it, or it is night again. */
  async #takeBack(signal: AbortSignal): Promise<void> {
    const { peer, sleepers, clock, logger } = this.#parts;
    while (!signal.aborted) {
      try {
        const noted = (await sleepers.list()).find(isOf(peer));
        this.#calls = noted?.sleeper.calls ?? this.#calls;
        // What was read may be older than the last note.
        await sleepers.forget(peer);
        return;
      } catch (error) {
        logger.debug({ err: error }, 'cannot tell that this machine is awake; tries again');
        await clock.sleep(RETRY_MS, signal);
      }
    }
  }
}

const isOf =
  (peer: PeerId) =>
  ({ sleeper }: NotedSleeper): boolean =>
    sleeper.peer === peer;
