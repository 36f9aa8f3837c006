import {
  type Clock,
  chooseWake,
  isQuietAt,
  type Link,
  linksIn,
  type NotedSleeper,
  type PeerDirectory,
  type PeerId,
  type PeerOrderAnswer,
  type SleepingPeers,
} from '@podmesh/core';
import type { Logger } from 'pino';
import { localTimeIn } from './local-time-in.ts';

/** Sleepers are looked at this often; without any, one question to the server. */
const LOOK_MS = 10_000;
/** Each call is a few packets already: who says it more often does not send more. */
const CALLS_APART_MS = 5_000;

export interface WakerParts {
  readonly peer: PeerId;
  readonly peers: Pick<PeerDirectory, 'list'>;
  readonly sleepers: Pick<SleepingPeers, 'list' | 'replace'>;
  /** Networks that this machine is in at this moment. */
  readonly networks: () => readonly string[];
  /** Sends the magic packet into the networks of these links; throws what goes wrong. */
  readonly send: (links: readonly Link[]) => Promise<void>;
  /** Wall clock: for the times of the day at which owners want quiet. */
  readonly now: () => number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Wakes machines in its networks: when work waits that they could do, and when people say so. */
export class Waker {
  readonly #parts: WakerParts;
  readonly #stop = new AbortController();
  /** Since when each sleeper's entry has been as it is, by this machine's clock. */
  #seen = new Map<PeerId, { readonly revision: number; readonly atMs: number }>();
  /** When each was called at a word, by this machine's clock; of the last `CALLS_APART_MS` alone. */
  #called = new Map<PeerId, number>();
  #loop: Promise<void> = Promise.resolve();

  constructor(parts: WakerParts) {
    this.#parts = parts;
  }

  start(): void {
    if (!this.#stop.signal.aborted) this.#loop = this.#keepLooking();
  }

  /** Harmless when never started, or twice. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }

  /** At a person's word; whoever wants to be left alone is so here, too. Throws what the mesh, or the network, does. */
  async wake(peer: PeerId, by: string): Promise<Exclude<PeerOrderAnswer, { kind: 'silent' }>> {
    const { sleepers, networks, send, logger } = this.#parts;
    const noted = (await sleepers.list()).find(({ sleeper }) => sleeper.peer === peer);
    if (noted === undefined) return refused(`${peer} did not say that it sleeps`);
    const { forbids } = noted.sleeper;
    if (forbids !== undefined) return refused(`nobody may wake ${peer}: ${forbids}`);
    if (this.#isQuiet(noted))
      return refused(`its owner lets ${peer} sleep at this time of the day`);
    const links = linksIn(noted.sleeper, networks());
    if (links.length === 0) return refused(`it is in no network of ${peer}`);
    if (!this.#mayCall(peer)) return { kind: 'done' };
    logger.info({ sleeper: peer, by }, 'wakes a machine, as it was told');
    try {
      await send(links);
    } catch (error) {
      this.#called.delete(peer);
      throw error;
    }
    return { kind: 'done' };
  }

  #mayCall(peer: PeerId): boolean {
    const nowMs = this.#parts.clock.nowMs();
    const recent = [...this.#called].filter(([, atMs]) => nowMs - atMs < CALLS_APART_MS);
    this.#called = new Map(recent);
    if (this.#called.has(peer)) return false;
    this.#called.set(peer, nowMs);
    return true;
  }

  async #keepLooking(): Promise<void> {
    const { clock, logger } = this.#parts;
    const { signal } = this.#stop;
    let wasHeard = true;
    while (!signal.aborted) {
      try {
        await this.#look();
        wasHeard = true;
      } catch (error) {
        if (wasHeard) logger.warn({ err: error }, 'cannot look who sleeps; goes on trying');
        wasHeard = false;
      }
      await clock.sleep(LOOK_MS, signal);
    }
  }

  async #look(): Promise<void> {
    const { peer: self, peers, sleepers, networks: current, clock } = this.#parts;
    const networks = current();
    if (networks.length === 0) return;
    const noted = await sleepers.list();
    this.#note(noted);
    if (!noted.some(({ sleeper }) => linksIn(sleeper, networks).length > 0)) return;
    const chosen = chooseWake({
      self,
      networks,
      peers: await peers.list(),
      sleepers: noted,
      unchangedMs: ({ sleeper }) =>
        clock.nowMs() - (this.#seen.get(sleeper.peer)?.atMs ?? clock.nowMs()),
      isQuiet: (one) => this.#isQuiet(one),
    });
    if (chosen !== undefined) await this.#call(chosen, networks);
  }

  /** Whoever changes the entry first sends, and nobody else: the others see that somebody did. */
  async #call({ sleeper, revision }: NotedSleeper, networks: readonly string[]): Promise<void> {
    const { peer: by, sleepers, send, logger } = this.#parts;
    const calls = { count: (sleeper.calls?.count ?? 0) + 1, by };
    if (!(await sleepers.replace({ ...sleeper, calls }, revision))) return;
    const which = { sleeper: sleeper.peer, call: calls.count };
    logger.info(which, 'wakes a machine: tasks wait that it could do');
    await send(linksIn(sleeper, networks)).catch((error: unknown) =>
      logger.warn({ ...which, err: error }, 'could not send the magic packet'),
    );
  }

  #note(noted: readonly NotedSleeper[]): void {
    const atMs = this.#parts.clock.nowMs();
    const before = this.#seen;
    this.#seen = new Map(
      noted.map(({ sleeper: { peer }, revision }) => {
        const seen = before.get(peer);
        return [peer, seen?.revision === revision ? seen : { revision, atMs }];
      }),
    );
  }

  #isQuiet({ sleeper: { quiet, timeZone } }: NotedSleeper): boolean {
    if (quiet.length === 0) return false;
    const time = localTimeIn(timeZone, this.#parts.now());
    // Whoever wants quiet at some times, nobody knows when, has it.
    return time === undefined || isQuietAt(quiet, time);
  }
}

const refused = (message: string) => ({ kind: 'refused', message }) as const;
