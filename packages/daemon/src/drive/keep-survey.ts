import type { Clock, KeepAnswer, PeerId } from '@podmesh/core';

/** Who refused is asked again after this. */
const REFUSED_MS = 15_000;
/** Unanswered questions in a row after which a peer is left for another. */
const SILENT_MAX = 3;
const REFUSALS_TOLD_MAX = 3;

interface Asked {
  answer: KeepAnswer['kind'] | undefined;
  silent: number;
}

/** Who was asked to keep some outputs, and what each of them said last. */
export class KeepSurvey {
  readonly #clock: Clock;
  readonly #asked = new Map<PeerId, Asked>();
  readonly #refused = new Map<PeerId, { readonly untilMs: number; readonly why: string }>();
  #idleSinceMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#idleSinceMs = clock.nowMs();
  }

  /** Those to be asked in the next round. */
  get asked(): readonly PeerId[] {
    return [...this.#asked.keys()];
  }

  /** Those who said so in the last round. */
  get kept(): readonly PeerId[] {
    return [...this.#asked].flatMap(([peer, { answer }]) => (answer === 'kept' ? [peer] : []));
  }

  /** Whether somebody is getting the bytes. */
  get isAtWork(): boolean {
    return [...this.#asked.values()].some(({ answer }) => answer === 'working');
  }

  /** Since when nobody has been at work. */
  get idleSinceMs(): number {
    return this.#idleSinceMs;
  }

  mayAsk(peer: PeerId): boolean {
    const refused = this.#refused.get(peer);
    return refused === undefined || refused.untilMs <= this.#clock.nowMs();
  }

  ask(peer: PeerId): void {
    if (!this.#asked.has(peer) && this.mayAsk(peer))
      this.#asked.set(peer, { answer: undefined, silent: 0 });
  }

  /** Who left the mesh is asked no more, whatever it said. */
  keepOnly(listed: readonly PeerId[]): void {
    for (const peer of this.#asked.keys()) if (!listed.includes(peer)) this.#asked.delete(peer);
  }

  note(peer: PeerId, answer: KeepAnswer): void {
    const asked = this.#asked.get(peer);
    if (asked === undefined) return;
    asked.silent = answer.kind === 'silent' ? asked.silent + 1 : 0;
    asked.answer = answer.kind;
    if (answer.kind === 'working') this.#idleSinceMs = this.#clock.nowMs();
    if (answer.kind === 'refused') this.#refuse(peer, answer.message);
    if (asked.silent >= SILENT_MAX) this.#refuse(peer, 'does not answer');
  }

  /** In words, of those who were asked; undefined: nobody refused. */
  refusals(): string | undefined {
    const told = [...this.#refused].slice(-REFUSALS_TOLD_MAX);
    return told.length === 0
      ? undefined
      : told.map(([peer, { why }]) => `${peer}: ${why}`).join('; ');
  }

  #refuse(peer: PeerId, why: string): void {
    this.#asked.delete(peer);
    this.#refused.set(peer, { untilMs: this.#clock.nowMs() + REFUSED_MS, why });
  }
}
