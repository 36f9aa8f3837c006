import { type Msg, nuid } from '@nats-io/transport-node';
import {
  type Anchor,
  type AnchorRecord,
  type PeerId,
  parseAnchor,
  parseAnchorRecord,
} from '@podmesh/core';
import { decodeJson, encodeJson } from '../json-codec.ts';
import type { MeshConnection } from '../mesh-connection.ts';
import { MeshAnswerError } from '../mesh-errors.ts';
import { asking } from '../port-error.ts';
import type { ServerTrust } from '../server-guard.ts';
import {
  anchorOrderSubject,
  anchorQuestionSubject,
  askerOfInbox,
  inboxSubject,
} from '../subjects.ts';

/** What a peer needs to carry a server, made by the authority for keys that the peer made; none of it opens anything alone. */
export interface AnchorPapers {
  readonly trust: ServerTrust;
  /** PEM, with that of the mesh's authority behind it. */
  readonly serverCertificate: string;
  /** Signed tokens for the peer's keys, by role. */
  readonly tokens: { readonly anchor: string; readonly system: string };
}

/** Public halves of what a peer made for itself, to be signed. */
export interface PapersRequest {
  /** PEM request for the server's certificate. */
  readonly server: string;
  readonly keys: { readonly anchor: string; readonly system: string };
}

/** What the daemon of a peer is told about being an anchor. Each may be repeated. */
export type AnchorOrder =
  /** Choose addresses for a server of this generation, which must be free. */
  | { readonly kind: 'reserve'; readonly generation: number }
  /** Start it, among these others; `secret` is what its servers show each other. */
  | {
      readonly kind: 'join';
      readonly record: AnchorRecord;
      readonly mover: PeerId;
      readonly papers: AnchorPapers;
      readonly secret: string;
    }
  /** A server of this generation is not going to be the truth: end it, and forget what it has. */
  | { readonly kind: 'abandon'; readonly generation: number }
  /** The record says that this peer is no anchor any more: end its server. */
  | { readonly kind: 'leave'; readonly record: AnchorRecord };

export interface AnchorAnswer {
  readonly anchor?: Anchor;
  /** Where this peer reaches the mesh now. */
  readonly reaches?: string;
  readonly request?: PapersRequest;
}

type Answered =
  | ({ readonly kind: 'done' } & AnchorAnswer)
  | { readonly kind: 'refused'; readonly message: string };

const KINDS = ['reserve', 'join', 'abandon', 'leave'];
/** Starting a server takes a second or two, keys another on a slow machine. */
const ANSWER_MS = 60_000;
const QUESTION_MS = 5_000;
const TEXT_CHARS_MAX = 16_384;

/** Tells a peer; throws when it does not answer, or refuses. */
export async function orderAnchor(
  mesh: MeshConnection,
  peer: PeerId,
  order: AnchorOrder,
): Promise<AnchorAnswer> {
  const what = `ask ${peer} to ${order.kind}`;
  const said = await ask(mesh, { subject: anchorOrderSubject(peer), what, ms: ANSWER_MS }, order);
  const { anchor, reaches, request } = said as Record<string, unknown>;
  const known = anchor === undefined ? undefined : parseAnchor(anchor);
  return {
    ...(known === undefined ? {} : { anchor: known }),
    ...(isText(reaches) ? { reaches } : {}),
    ...(isRequest(request) ? { request } : {}),
  };
}

/** What became of a generation, as whoever tried to make it the truth knows it. */
export type MoveOutlook = 'trying' | 'moved' | 'given-up';

/** Asks whoever moves the mesh what becomes of this generation; undefined for an answer that makes no sense. */
export async function askMover(
  mesh: MeshConnection,
  mover: PeerId,
  generation: number,
): Promise<MoveOutlook | undefined> {
  const what = `ask ${mover} whether it moves the mesh`;
  const subject = anchorQuestionSubject(mover);
  const said = await ask(mesh, { subject, what, ms: QUESTION_MS }, { generation });
  const { outlook } = said as Record<string, unknown>;
  return (['trying', 'moved', 'given-up'] as const).find((one) => one === outlook);
}

export interface AnchorServing {
  readonly peer: PeerId;
  /** What it throws is a refusal. */
  readonly carryOut: (order: AnchorOrder) => Promise<AnchorAnswer>;
  readonly outlookOf: (generation: number) => MoveOutlook;
}

/** Answers such orders to this peer until the signal aborts. */
export function serveAnchorOrders(
  mesh: MeshConnection,
  { peer, carryOut, outlookOf }: AnchorServing,
  signal: AbortSignal,
): void {
  const orders = anchorOrderSubject(peer);
  hear(mesh, orders, signal, async (data) => carryOut(readOrder(data)));
  hear(mesh, anchorQuestionSubject(peer), signal, async (data) => {
    const { generation } = decodeJson<{ generation?: unknown }>(data, 'a question to a mover');
    return { outlook: outlookOf(Number(generation)) };
  });
}

function hear(
  mesh: MeshConnection,
  subject: string,
  signal: AbortSignal,
  answer: (data: Uint8Array) => Promise<object>,
): void {
  const reply = async ({ data, reply: inbox }: Msg): Promise<void> => {
    // Whoever answers elsewhere could be made to write into a stream.
    if (inbox === undefined || askerOfInbox(inbox) === undefined) return;
    const said = await answer(data).then(
      (done) => ({ kind: 'done', ...done }),
      (thrown: unknown) => ({
        kind: 'refused',
        message: thrown instanceof Error ? thrown.message : String(thrown),
      }),
    );
    if (mesh.isConnected && !mesh.isClosed) mesh.nc.publish(inbox, encodeJson(said));
  };
  const subscription = mesh.nc.subscribe(subject, {
    callback: (error, message) => {
      if (error === null) void reply(message).catch(() => undefined);
    },
  });
  signal.addEventListener('abort', () => subscription.unsubscribe(), { once: true });
}

interface Question {
  readonly subject: string;
  readonly what: string;
  readonly ms: number;
}

async function ask(
  mesh: MeshConnection,
  { subject, what, ms }: Question,
  order: object,
): Promise<object> {
  const reply = inboxSubject(mesh.member, nuid.next(), 0);
  const options = { timeoutMs: ms, reply };
  const answer = await asking(what, () => mesh.request(subject, encodeJson(order), options));
  const said = decodeJson<Answered>(answer.data, what);
  if (said.kind === 'refused')
    throw new MeshAnswerError(what, { code: 0, description: said.message });
  return said;
}

function readOrder(data: Uint8Array): AnchorOrder {
  const order = decodeJson<AnchorOrder>(data, 'an order to an anchor');
  if (!KINDS.includes(order.kind)) throw new TypeError('no such order');
  if (order.kind !== 'join' && order.kind !== 'leave') return order;
  const record = parseAnchorRecord(order.record);
  if (record === undefined) throw new TypeError('an order with no record of anchors');
  return { ...order, record };
}

const isText = (value: unknown): value is string =>
  typeof value === 'string' && value.length <= TEXT_CHARS_MAX;

function isRequest(value: unknown): value is PapersRequest {
  const { server, keys } = Object(value) as Record<string, unknown>;
  const { anchor, system } = Object(keys) as Record<string, unknown>;
  return [server, anchor, system].every(isText);
}
