import type { PeerId } from '../words/ids.ts';

/** What people, and other peers, may ask of one peer. */
export type PeerOrder =
  /** Take nothing more; what runs has so long to end by itself, and is given back then. */
  | { readonly kind: 'drain'; readonly deadlineMs: number; readonly by: string }
  | { readonly kind: 'undrain'; readonly by: string }
  /** Send the magic packet to a peer that sleeps in a network that it is in. */
  | { readonly kind: 'wake'; readonly sleeper: PeerId; readonly by: string };

/** `done`: it was done, or has begun. `refused`: why not. `silent`: nobody answered in time. */
export type PeerOrderAnswer =
  | { readonly kind: 'done' | 'silent' }
  | { readonly kind: 'refused'; readonly message: string };

/** Orders to single peers. Nothing is stored: who gets no answer asks again. */
export interface PeerOrders {
  /** Never rejects but with the signal's reason: a mesh that is away is `silent`. */
  ask(peer: PeerId, order: PeerOrder, signal: AbortSignal): Promise<PeerOrderAnswer>;
  /** Answers for this peer until the signal aborts. */
  serve(peer: PeerId, obey: ObeyOrder, signal: AbortSignal): Promise<void>;
}

/** Must not throw. */
export type ObeyOrder = (
  order: PeerOrder,
) => Promise<Exclude<PeerOrderAnswer, { readonly kind: 'silent' }>>;
