import {
  type Clock,
  chooseKeepers,
  KEEP_PATIENCE_MS,
  type KeepAnswer,
  type KeepOrder,
  keeperCandidates,
  type OutputKeepers,
  type PeerDirectory,
  type PeerEntry,
  type PeerId,
  PortError,
  type Sha256,
} from '@podmesh/core';
import { KeepSurvey } from '../drive/keep-survey.ts';
import type { SecondCopies } from '../store/output-publishing.ts';

/** Between two questions to the same peer: soon at first, since most is a log of some lines. */
const ASK_AGAIN_MS = { first: 20, most: 2_000 };
/** The attempt's outcome waits so long, whoever is at work. */
const BRING_MS_MAX = 10 * 60_000;
/** Whoever was told to stop waits so much longer: most is a log of some lines. Machines that go to sleep have 5 s. */
const STOPPED_MS_MAX = 2_000;
/** The list of peers is believed for this long, by all that end meanwhile. */
const PEERS_BELIEVED_MS = 2_000;

export interface PeerCopiesParts {
  readonly peer: PeerId;
  readonly peers: Pick<PeerDirectory, 'list'>;
  readonly keepers: Pick<OutputKeepers, 'keep'>;
  readonly clock: Clock;
  readonly sha256: Sha256;
  /** False while entries of the directory may be missing of peers that are there; absent: never. */
  readonly isDirectoryWhole?: () => boolean;
}

/**
 * Second copies on the disk of another peer. The peer that made something asks for them, and not its run's driver: what
 * an attempt leaves is known only once it is safe, so there is no fact yet that a driver could read. It asks like one:
 * again and again, until they are there or nobody can have them.
 */
export class PeerCopies implements SecondCopies {
  readonly #parts: PeerCopiesParts;
  readonly #stop = new AbortController();
  #believed: { readonly untilMs: number; readonly entries: readonly PeerEntry[] } | undefined;

  constructor(parts: PeerCopiesParts) {
    this.#parts = parts;
  }

  async bring(order: KeepOrder, stop?: AbortSignal): Promise<string | undefined> {
    const { clock } = this.#parts;
    const over = new AbortController();
    const signal = AbortSignal.any([this.#stop.signal, over.signal]);
    const hurry = async (): Promise<void> => {
      await clock.sleep(STOPPED_MS_MAX, signal);
      over.abort(new Error('its attempt was told to stop'));
    };
    if (stop?.aborted === true) void hurry();
    else stop?.addEventListener('abort', hurry, { once: true });
    try {
      return await this.#bring(order, signal);
    } catch (error) {
      if (this.#stop.signal.aborted) return 'its peer stopped before another one had it';
      if (signal.aborted) return 'its attempt was told to stop before another peer had it';
      return `other peers could not be asked: ${error instanceof Error ? error.message : error}`;
    } finally {
      stop?.removeEventListener('abort', hurry);
      over.abort();
    }
  }

  /** Whoever waits goes on with one copy. Harmless twice. */
  stop(): void {
    this.#stop.abort(new Error('this peer stops'));
  }

  async #bring(order: KeepOrder, signal: AbortSignal): Promise<string | undefined> {
    const { clock, keepers } = this.#parts;
    const survey = new KeepSurvey(clock);
    const beganAtMs = clock.nowMs();
    for (let restMs = ASK_AGAIN_MS.first; ; restMs = Math.min(2 * restMs, ASK_AGAIN_MS.most)) {
      signal.throwIfAborted();
      const mayWait = clock.nowMs() - survey.idleSinceMs < KEEP_PATIENCE_MS;
      const entries = await this.#others(mayWait);
      if (entries !== undefined) survey.keepOnly(entries.map(({ peer }) => peer));
      const [keeper] =
        survey.asked.length > 0 ? survey.asked : this.#choose(order, entries ?? [], survey);
      if (keeper === undefined) {
        const mayCome = entries === undefined || this.#parts.isDirectoryWhole?.() === false;
        if (!mayCome || !mayWait) return survey.refusals() ?? whyNobody(entries ?? []);
        await clock.sleep(restMs, signal);
        continue;
      }
      survey.ask(keeper);
      const answer: KeepAnswer = await keepers.keep(keeper, order, signal);
      if (answer.kind === 'kept') return undefined;
      survey.note(keeper, answer);
      const nowMs = clock.nowMs();
      if (nowMs - survey.idleSinceMs >= KEEP_PATIENCE_MS || nowMs - beganAtMs >= BRING_MS_MAX)
        return survey.refusals() ?? `${keeper} does not get it`;
      // Who refused is left for the next at once.
      if (survey.asked.length > 0) await clock.sleep(restMs, signal);
    }
  }

  /** The best of those that have not refused. */
  #choose(
    { outputs }: KeepOrder,
    others: readonly PeerEntry[],
    survey: KeepSurvey,
  ): readonly PeerId[] {
    const { peer, sha256 } = this.#parts;
    const [first] = outputs;
    if (first === undefined) return [];
    const own = this.#believed?.entries.filter((entry) => entry.peer === peer) ?? [];
    const able = others.filter((entry) => survey.mayAsk(entry.peer));
    const bytes = outputs.reduce((sum, output) => sum + output.bytes, 0);
    const need = { artifact: first.digest, bytes, copies: 2, holders: [peer] };
    return chooseKeepers(keeperCandidates([...own, ...able]), need, sha256).keepers;
  }

  /** Undefined while the directory does not answer, and it may be waited for. */
  async #others(mayWait: boolean): Promise<readonly PeerEntry[] | undefined> {
    const { clock, peer, peers } = this.#parts;
    if (this.#believed === undefined || this.#believed.untilMs <= clock.nowMs()) {
      const entries = await peers.list().catch((error: unknown) => {
        if (mayWait && error instanceof PortError && error.retryable) return undefined;
        throw error;
      });
      if (entries === undefined) return undefined;
      this.#believed = { untilMs: clock.nowMs() + PEERS_BELIEVED_MS, entries };
    }
    return this.#believed.entries.filter((entry) => entry.peer !== peer);
  }
}

function whyNobody(others: readonly PeerEntry[]): string {
  return others.length === 0
    ? 'no other peer is in the mesh'
    : 'no other peer in the mesh has room for it, or keeps outputs for others';
}
