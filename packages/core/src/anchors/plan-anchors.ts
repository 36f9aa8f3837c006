import type { PeerId } from '../words/ids.ts';
import { ok, type Result, refused } from '../words/result.ts';
import { ANCHOR_COUNTS, type AnchorRecord } from './anchor-record.ts';

/** What has to happen so that other peers carry the mesh. */
export type AnchorPlan =
  | { readonly kind: 'nothing' }
  /** From one server to a cluster everything is copied, in a pause: a server is never turned into a member of a cluster. */
  | { readonly kind: 'copy'; readonly anchors: readonly PeerId[] }
  /** From a cluster to one of its servers everything is gathered there while it works; then that one serves alone. */
  | { readonly kind: 'gather'; readonly at: PeerId }
  /** Members of a cluster come and go while it works. */
  | {
      readonly kind: 'exchange';
      readonly join: readonly PeerId[];
      readonly leave: readonly PeerId[];
    };

/** How to get from the servers that there are to those that are wanted; why not, as a sentence. */
export function planAnchors(
  record: AnchorRecord,
  wanted: readonly PeerId[],
): Result<AnchorPlan, string> {
  const named = [...new Set(wanted)];
  if (named.length !== wanted.length) return refused('a peer is named twice');
  if (!ANCHOR_COUNTS.some((count) => count === named.length))
    return refused(
      `${named.length} anchors make no sense: 1 is the only copy, 3 survive one loss, 5 survive two; an even number survives no more than one fewer`,
    );
  const now = record.anchors.map(({ peer }) => peer);
  const join = named.filter((peer) => !now.includes(peer));
  const leave = now.filter((peer) => !named.includes(peer));
  if (join.length === 0 && leave.length === 0) return ok({ kind: 'nothing' });
  if (record.cluster === undefined) {
    if (named.length > 1) return ok({ kind: 'copy', anchors: named });
    return refused(
      'one anchor alone is not moved to another machine: make them three, the other among them',
    );
  }
  const [at] = named;
  if (named.length === 1 && at !== undefined) {
    if (now.includes(at)) return ok({ kind: 'gather', at });
    return refused(
      `${at} is none of the anchors: make it one first, in the place of another: podmesh anchors retire PEER ${at}`,
    );
  }
  return ok({ kind: 'exchange', join, leave });
}
