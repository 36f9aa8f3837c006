import { readFile, rm } from 'node:fs/promises';
import { replacePrivately } from '@podmesh/authority';
import type { DrainTold, ObeyOrder, PeerOrder } from '@podmesh/core';
import type { Logger } from 'pino';
import type { DrainOrder } from '../claim/drain.ts';
import { isAbsence } from '../store/absence.ts';
import { TurnTaking } from '../store/turn-taking.ts';
import type { Waker } from './waker.ts';

/** A drain that nobody has ended, as it is written down. */
interface DrainNote {
  readonly by: string;
  /** Of the machine's wall clock, RFC 3339: all that a restarted daemon has to go by. */
  readonly until: string;
  readonly deadlineMs: number;
}

/** The peer, as far as it can be drained. */
export interface DrainedPeer {
  drain(order: DrainOrder): Promise<void>;
  undrain(): void;
  readonly drained: DrainTold | undefined;
}

export interface DrainDeskParts {
  /** Of this home; survives restarts. */
  readonly file: string;
  readonly logger: Logger;
  /** Wall clock. */
  readonly now?: () => number;
}

/** Where a peer is told to drain, to claim again, and to wake another; what it was told is written down before it answers. */
export class DrainDesk {
  readonly #parts: DrainDeskParts;
  readonly #turns = new TurnTaking<'file'>();
  #peer: DrainedPeer | undefined;
  #waker: Pick<Waker, 'wake'> | undefined;

  constructor(parts: DrainDeskParts) {
    this.#parts = parts;
  }

  /** What an earlier session was told; undefined when it was not, or was told to claim again. */
  async load(): Promise<DrainOrder | undefined> {
    const note = await readNote(this.#parts.file);
    if (note === undefined) return undefined;
    const leftMs = Date.parse(note.until) - this.#nowMs();
    // A wall clock that was set back gives nobody more time than they had.
    const deadlineMs = Math.min(Math.max(0, leftMs), note.deadlineMs);
    return { by: note.by, deadlineMs };
  }

  /** From now on orders reach this peer. */
  open(peer: DrainedPeer, waker: Pick<Waker, 'wake'>): void {
    this.#peer = peer;
    this.#waker = waker;
  }

  get drained(): DrainTold | undefined {
    return this.#peer?.drained;
  }

  /** Throws nothing: what could not be done is refused, with the reason. */
  readonly obey: ObeyOrder = async (order) => {
    try {
      if (this.#peer === undefined) return { kind: 'refused', message: 'it is still starting' };
      return (await this.#obey(order, this.#peer)) ?? { kind: 'done' };
    } catch (error) {
      this.#parts.logger.warn({ err: error, order: order.kind }, 'could not do as it was told');
      return { kind: 'refused', message: error instanceof Error ? error.message : String(error) };
    }
  };

  async #obey(order: PeerOrder, peer: DrainedPeer) {
    const { file } = this.#parts;
    if (order.kind === 'wake') return this.#waker?.wake(order.sleeper, order.by);
    if (order.kind === 'undrain') {
      await this.#turns.run('file', () => rm(file, { force: true }));
      peer.undrain();
    } else {
      const { by, deadlineMs } = order;
      const until = new Date(this.#nowMs() + deadlineMs).toISOString();
      const note: DrainNote = { by, until, deadlineMs };
      await this.#turns.run('file', () => replacePrivately(file, `${JSON.stringify(note)}\n`));
      void peer.drain({ by, deadlineMs });
    }
    return undefined;
  }

  #nowMs(): number {
    return (this.#parts.now ?? Date.now)();
  }
}

/** One that cannot be understood still says that somebody wanted the machine back. */
async function readNote(file: string): Promise<DrainNote | undefined> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    if (isAbsence(error)) return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  try {
    const { by, until, deadlineMs }: Record<string, unknown> = Object(JSON.parse(text));
    const isWhole = Number.isFinite(Date.parse(String(until))) && Number(deadlineMs) >= 0;
    if (isWhole) return { by: String(by), until: String(until), deadlineMs: Number(deadlineMs) };
  } catch {
    // The same as one with other members.
  }
  return { by: 'somebody, before a restart', until: new Date(0).toISOString(), deadlineMs: 0 };
}
