import { type Anchor, type AnchorRecord, type PeerId, parseAnchor } from '@podmesh/core';
import { decodeJson, encodeJson } from '../json-codec.ts';
import type { MeshConnection } from '../mesh-connection.ts';
import { MeshAnswerError } from '../mesh-errors.ts';
import { asking } from '../port-error.ts';
import { anchorSubject } from '../subjects.ts';

/** What the daemon of a peer is told about being an anchor. Each may be repeated. */
export type AnchorOrder =
  /** Choose addresses for a server of this generation, which must be free. */
  | { readonly kind: 'reserve'; readonly generation: number }
  /** Start it, among these others. */
  | { readonly kind: 'join'; readonly record: AnchorRecord; readonly mover: PeerId }
  /** A server of this generation is not going to be the truth: end it, and forget what it has. */
  | { readonly kind: 'abandon'; readonly generation: number }
  /** The record says that this peer is no anchor any more: end its server. */
  | { readonly kind: 'leave'; readonly generation: number }
  /** Whether this peer is still about to move the mesh to this generation. */
  | { readonly kind: 'trying'; readonly generation: number }
  /** Make these the anchors. */
  | { readonly kind: 'change'; readonly anchors: readonly PeerId[] };

export type AnchorAnswer =
  | { readonly kind: 'done'; readonly anchor?: Anchor; readonly told?: string }
  | { readonly kind: 'refused'; readonly message: string };

const KINDS = ['reserve', 'join', 'abandon', 'leave', 'trying', 'change'];
/** Starting a server takes a second or two; a change of anchors is answered when it has begun. */
const ANSWER_MS = 30_000;

/** Tells a peer; throws when it does not answer, or refuses. */
export async function orderAnchor(
  mesh: MeshConnection,
  peer: PeerId,
  order: AnchorOrder,
): Promise<{ readonly anchor?: Anchor; readonly told?: string }> {
  const what = `ask ${peer} to ${order.kind}`;
  const answer = await asking(what, async () => {
    const options = { timeoutMs: ANSWER_MS };
    return mesh.request(anchorSubject(peer), encodeJson(order), options);
  });
  const said = decodeJson<AnchorAnswer>(answer.data, what);
  if (said.kind === 'refused')
    throw new MeshAnswerError(what, { code: 0, description: said.message });
  const anchor = said.anchor === undefined ? undefined : parseAnchor(said.anchor);
  return {
    ...(anchor === undefined ? {} : { anchor }),
    ...(said.told === undefined ? {} : { told: String(said.told) }),
  };
}

/** Answers such orders to this peer until the signal aborts; what `carryOut` throws is a refusal. */
export function serveAnchorOrders(
  mesh: MeshConnection,
  peer: PeerId,
  carryOut: (order: AnchorOrder) => Promise<AnchorAnswer>,
  signal: AbortSignal,
): void {
  const subscription = mesh.nc.subscribe(anchorSubject(peer), {
    callback: (error, message) => {
      if (error !== null) return;
      void (async () => {
        const answer = await carryOut(readOrder(message.data)).catch((thrown: unknown) => ({
          kind: 'refused',
          message: thrown instanceof Error ? thrown.message : String(thrown),
        }));
        if (!mesh.isClosed) message.respond(encodeJson(answer));
      })().catch(() => undefined);
    },
  });
  signal.addEventListener('abort', () => subscription.unsubscribe(), { once: true });
}

function readOrder(data: Uint8Array): AnchorOrder {
  const order = decodeJson<AnchorOrder>(data, 'an order to an anchor');
  if (!KINDS.includes(order.kind)) throw new TypeError('no such order');
  return order;
}
