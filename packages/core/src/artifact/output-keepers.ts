import type { PeerId, RunId, TaskId } from '../words/ids.ts';
import type { ArtifactRef } from './artifact.ts';

/** What a peer is asked to get, pin and keep: the outputs of one success. */
export interface KeepOrder {
  readonly run: RunId;
  readonly task: TaskId;
  /** What attempts left beside the outputs of a success: held apart, until the run is over. */
  readonly apart?: true;
  /** Of what a failed attempt left: once that of a later one is held, this may go. */
  readonly attempt?: number;
  /** A directory stands for everything below its listing. At most `KEEP_ORDER_ARTIFACTS_MAX`. */
  readonly outputs: readonly ArtifactRef[];
}

/**
 * `kept`: all of it is whole on the peer's disk now, and pinned there. `working`: it is at it, or will be; ask
 * again. `refused`: it cannot, or not now; `message` says why, to people. `silent`: nobody answered in time.
 */
export type KeepAnswer =
  | { readonly kind: 'kept' | 'working' | 'silent' }
  | { readonly kind: 'refused'; readonly message: string };

/** Whatever an order was about, seen from its end. */
export interface KeepRelease {
  readonly run: RunId;
  readonly tasks: readonly TaskId[];
  /** `kept`: enough peers have them, and pins are needed no more. `spent`: nobody is going to read them again. */
  readonly as: 'kept' | 'spent';
}

/**
 * Peers that keep outputs for others. Orders are repeated until they are carried out, so nothing is lost when a
 * message is; whoever is asked answers at once.
 */
export interface OutputKeepers {
  /** Never rejects but with the signal's reason: a mesh that is away is `silent`. Waits `KEEP_ANSWER_MS`. */
  keep(peer: PeerId, order: KeepOrder, signal: AbortSignal): Promise<KeepAnswer>;
  /** A hint to all peers that may get lost: pins go at the end of their run at the latest. */
  release(release: KeepRelease): void;
  /** Answers for this peer until the signal aborts. */
  serve(peer: PeerId, keeper: KeepingPeer, signal: AbortSignal): Promise<void>;
}

/** The peer's own side of it. Both return at once. */
export interface KeepingPeer {
  keep(order: KeepOrder): Exclude<KeepAnswer, { readonly kind: 'silent' }>;
  release(release: KeepRelease): void;
}
