import { folderOfMeshUrl, MeshFolder } from '@podmesh/authority';
import type { AnchorRecord, GreetedServer } from '@podmesh/core';
import { parseMeshUrl } from '@podmesh/jetstream';
import type { World } from '../world.ts';

/** What the servers of the mesh say to whoever comes by: those of the record, or those of the address. */
export async function greetAnchors(
  world: World,
  record: AnchorRecord | undefined,
  url: string,
): Promise<readonly GreetedServer[]> {
  const places: readonly { readonly name: string; readonly address: string }[] =
    record?.anchors.map(({ peer, client }) => ({ name: peer, address: client })) ??
    (await serversOf(url)).map((address) => ({ name: address, address }));
  return Promise.all(
    places.map(async ({ name, address }) => {
      const greeting = await world.greet(address);
      return greeting === undefined ? { name } : { name, version: greeting.version };
    }),
  );
}

/** What this home heard last of who carries the mesh; undefined where nobody told, or in a mesh without roles. */
export async function heardAnchors(url: string): Promise<AnchorRecord | undefined> {
  const folder = folderOfMeshUrl(url);
  return folder === undefined ? undefined : new MeshFolder(folder).anchors();
}

async function serversOf(url: string): Promise<readonly string[]> {
  const folder = folderOfMeshUrl(url);
  if (folder === undefined) return parseMeshUrl(url).servers;
  return (await new MeshFolder(folder).place())?.servers ?? [];
}
