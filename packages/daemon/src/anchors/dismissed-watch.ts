import type { AnchorRecord } from '@podmesh/core';
import type { Seat } from './seat-file.ts';

export interface DismissedWatchParts {
  readonly peer: string;
  readonly seat: () => Seat;
  /** What the mesh said last of who carries it. */
  readonly heard: () => AnchorRecord | undefined;
  /** Names of the servers that vote; throws while nobody can tell. */
  readonly members: () => Promise<readonly string[]>;
  /** Takes this server out of the cluster when all it had is elsewhere. */
  readonly retire: (server: string) => Promise<void>;
  /** The record of a newer mesh in the place of this server's cluster. */
  readonly supersededBy: (record: AnchorRecord) => Promise<AnchorRecord | undefined>;
  /** Whether every server of the record answers among the others of its cluster. */
  readonly isWhole: (record: AnchorRecord) => Promise<boolean>;
  /** Ends the server of this machine. */
  readonly leave: (record: AnchorRecord) => Promise<void>;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** Whoever is in no record any more asks this often whether it is still a member of the cluster. */
const LOOK_MS = 5_000;
/** Whoever exchanges anchors takes it out before that; one that was away for long joins the cluster anew, and nobody looks. */
const LOOKS_MAX = 24;
/** Every so many looks it is asked whether all of the cluster are there; where the others went is looked for at each. */
const WHOLE_LOOKS = 2;

/**
 * Whoever is none of the anchors any more, and was away when it was told so, ends its server by itself: because the
 * record of its cluster does not name it, or because its cluster has come to its end without it.
 */
export class DismissedWatch {
  readonly #parts: DismissedWatchParts;
  #dismissedLooks = 0;
  #looks = 0;
  #isWhole = true;

  constructor(parts: DismissedWatchParts) {
    this.#parts = parts;
  }

  /** Until the signal aborts. */
  async watch(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.look().catch(() => undefined);
      await this.#parts.sleep(LOOK_MS, signal);
    }
  }

  async look(): Promise<void> {
    const { peer, seat } = this.#parts;
    const at = seat();
    if (at.kind !== 'open' || at.record.cluster === undefined) return;
    const own = at.record.anchors.find((anchor) => anchor.peer === peer)?.server;
    if (own === undefined) return;
    if (await this.#leaveWhatIsOver(at.record)) return;
    if (this.#isNamed(own, at.record)) this.#dismissedLooks = 0;
    else await this.#leaveIfDismissed(own);
  }

  /** Whether what the mesh said of this cluster last still names the server; nothing was heard of another one. */
  #isNamed(own: string, { cluster, generation }: AnchorRecord): boolean {
    const record = this.#parts.heard();
    if (record === undefined || record.cluster !== cluster) return true;
    // Of a server that just came the last that was heard may be older: it would go as soon as it is there.
    if (record.generation <= generation) return true;
    return record.anchors.some(({ server }) => server === own);
  }

  async #leaveIfDismissed(own: string): Promise<void> {
    const { members, retire, leave, heard } = this.#parts;
    const record = heard();
    if (record === undefined) return;
    // Until it is taken out it may have what nobody else has yet.
    if (!(await members()).includes(own)) return leave(record);
    this.#dismissedLooks += 1;
    if (this.#dismissedLooks > LOOKS_MAX) await retire(own);
  }

  /** A cluster without some of its servers may be one that the mesh has left behind. */
  async #leaveWhatIsOver(record: AnchorRecord): Promise<boolean> {
    const { isWhole, supersededBy, leave } = this.#parts;
    if (this.#looks % WHOLE_LOOKS === 0) this.#isWhole = await isWhole(record).catch(() => false);
    this.#looks += 1;
    if (this.#isWhole) return false;
    const newer = await supersededBy(record);
    if (newer === undefined) return false;
    await leave(newer);
    return true;
  }
}
