import type { AnchorRecord, GreetedServer } from '@podmesh/core';
import { parseMeshUrl } from '@podmesh/jetstream';
import type { World } from '../world.ts';

/** What the servers of the mesh say to whoever comes by: those of the record, or those of the address. */
export function greetAnchors(
  world: World,
  record: AnchorRecord | undefined,
  url: string,
): Promise<readonly GreetedServer[]> {
  const places =
    record?.anchors.map(({ peer, client }) => ({ name: peer, address: client })) ??
    parseMeshUrl(url).servers.map((address) => ({ name: address, address }));
  return Promise.all(
    places.map(async ({ name, address }) => {
      const greeting = await world.greet(address);
      return greeting === undefined ? { name } : { name, version: greeting.version };
    }),
  );
}
