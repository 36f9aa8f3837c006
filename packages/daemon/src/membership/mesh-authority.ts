import { join } from 'node:path';
import { Authority, MeshFolder } from '@podmesh/authority';
import type { PeerId } from '@podmesh/core';
import { rolePermissions } from '@podmesh/jetstream';
import type { Home } from '../home.ts';

/** The authority of the mesh that this home made; undefined where it made none. */
export function openAuthority(home: Home): Promise<Authority | undefined> {
  return Authority.open(authorityOptions(home.at('authority')));
}

/** That of the home in which a member's folder lies, where this user can read it. */
export function authorityBeside(folder: MeshFolder): Promise<Authority | undefined> {
  return Authority.open(authorityOptions(join(folder.path, '..', 'authority')));
}

/** The folder of what this home knows as a member. */
export const meshFolder = (home: Home): MeshFolder => new MeshFolder(home.at('mesh'));

/**
 * The authority of this home, made when there is none, with this peer as its first member: credentials for its daemon
 * (`anchor`, since it runs the server), for whoever types commands here (`user`), and to look after the server.
 */
export async function foundMesh(home: Home, peer: PeerId): Promise<Authority> {
  const authority = await Authority.make(peer, authorityOptions(home.at('authority')));
  const folder = meshFolder(home);
  const member = (await folder.place())?.member;
  for (const role of ['anchor', 'user', 'system'] as const) {
    const known = await folder.credentials(role);
    if (member === peer && known !== undefined && (await authority.isGood(known))) continue;
    await folder.setCredentials(role, await authority.mint({ role, name: peer }));
  }
  // A peer that was given another name is another member.
  if (member !== undefined && member !== peer) await authority.revoke(member);
  await folder.setTaskSigning(authority.taskSigning);
  return authority;
}

const authorityOptions = (directory: string) => ({
  directory,
  permissions: rolePermissions(),
  now: Date.now,
});
