import type { AnchorRecord } from '@podmesh/core';
import { AnchorBook, askMover, connectMesh, type MeshConnection } from '@podmesh/jetstream';
import { systemClock } from '@podmesh/transfer';
import type { AnchorSeat } from './anchor-seat.ts';

export interface JoinedParts {
  readonly seat: AnchorSeat;
  readonly connection: MeshConnection;
  /** One change of the seat after the other. */
  readonly inTurn: (act: () => Promise<void>) => Promise<void>;
}

/** A server that joined looks this often whether its generation is the truth. */
const LOOK_MS = 1_000;
/** Whoever moves the mesh is asked after this long whether it still does. */
const ASK_MOVER_MS = 20_000;
const CONNECT_MS = 5_000;

/** While it is not known whether the generation that was joined for is the truth; until the signal aborts. */
export async function watchJoined(parts: JoinedParts, signal: AbortSignal): Promise<void> {
  let waitedMs = 0;
  while (!signal.aborted) {
    await systemClock.sleep(LOOK_MS, signal);
    const { seat } = parts.seat;
    waitedMs = seat.kind === 'joining' ? waitedMs + LOOK_MS : 0;
    if (seat.kind !== 'joining' || signal.aborted) continue;
    await lookAtOwn(parts, seat.record).catch(() => undefined);
    if (waitedMs % ASK_MOVER_MS === 0) await askWhoMoves(parts).catch(() => undefined);
  }
}

/** Its own server has the record as soon as it is the truth, also when whoever moved the mesh is gone. */
async function lookAtOwn(
  { seat, connection, inTurn }: JoinedParts,
  joined: AnchorRecord,
): Promise<void> {
  if (seat.server === undefined) return;
  const own = await connectMesh({
    url: seat.server.address,
    name: 'podmesh-joined',
    timeoutMs: CONNECT_MS,
  });
  try {
    const record = await new AnchorBook(own).read();
    if (record === undefined || record.generation < joined.generation) return;
    await inTurn(() => seat.confirm(record));
    connection.useServers(record.anchors.map(({ client }) => client));
  } finally {
    await own.close();
  }
}

async function askWhoMoves({ seat: place, connection, inTurn }: JoinedParts): Promise<void> {
  const { seat } = place;
  if (seat.kind !== 'joining') return;
  const { generation } = seat.record;
  const outlook = await askMover(connection, seat.mover, generation);
  // Of a move that was made, its own server tells: nothing that may be the truth is ever given up.
  if (outlook === 'given-up') await inTurn(() => place.abandon(generation));
}
