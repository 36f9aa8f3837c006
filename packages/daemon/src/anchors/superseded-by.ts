import type { AnchorRecord, PeerId } from '@podmesh/core';
import { AnchorBook, connectMesh, greetServer, type MeshAddress } from '@podmesh/jetstream';

const CONNECT_MS = 5_000;

/**
 * Looks where the other anchors of a cluster are, or were: somebody who greets there as no member of it may belong to a
 * newer mesh, and is asked for its record. Undefined where nobody has a newer one. A cluster that came to its end must
 * not begin again with those who were away: they would be a second truth.
 */
export async function supersededBy(
  record: AnchorRecord,
  self: PeerId,
  address: () => Promise<MeshAddress>,
): Promise<AnchorRecord | undefined> {
  if (record.cluster === undefined) return undefined;
  const others = record.anchors.filter(({ peer }) => peer !== self);
  const found = await Promise.all(
    others.map(async ({ client }) => {
      const greeting = await greetServer(client);
      if (greeting === undefined || greeting.cluster === record.cluster) return undefined;
      return readAt(client, address).catch(() => undefined);
    }),
  );
  return found
    .filter((one) => one !== undefined)
    .filter(({ generation }) => generation > record.generation)
    .sort((a, b) => b.generation - a.generation)[0];
}

async function readAt(
  client: string,
  address: () => Promise<MeshAddress>,
): Promise<AnchorRecord | undefined> {
  const url = { ...(await address()), servers: [client] };
  const connection = await connectMesh({ url, name: 'podmesh-anchors', timeoutMs: CONNECT_MS });
  return new AnchorBook(connection).read().finally(() => connection.close());
}
