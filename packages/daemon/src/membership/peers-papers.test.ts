import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Authority, MeshFolder } from '@podmesh/authority';
import { rolePermissions } from '@podmesh/jetstream';
import { expect, it } from 'vitest';
import { silent } from '../daemon.test-kit.ts';
import { temporaryFolder } from '../store/store.test-kit.ts';
import { PeersPapers } from './peers-papers.ts';

async function newHome(...roles: readonly ('peer' | 'user' | 'anchor' | 'system')[]) {
  const home = await temporaryFolder();
  const options = { permissions: rolePermissions(), now: Date.now };
  const authority = await Authority.make('m', { directory: join(home, 'authority'), ...options });
  const folder = new MeshFolder(join(home, 'mesh'));
  for (const role of roles)
    await folder.setCredentials(role, await authority.mint({ role, name: 'bob' }));
  await folder.setPlace({ mesh: 'm', member: 'bob', servers: ['127.0.0.1:4222'] });
  await folder.setServerCertificate({ certificate: 'certificate', key: 'key' });
  const listed = async () => (await readdir(folder.path)).sort();
  return { folder, papers: new PeersPapers(folder, silent), listed };
}

it('a machine that is no anchor any more has what a peer has, and is connected as one', async () => {
  const { folder, papers, listed } = await newHome('peer', 'user', 'anchor', 'system');
  const { member } = await papers.address();
  expect(member?.role).toBe('anchor');
  await papers.retire();
  expect([member?.role, member?.credentials]).toEqual(['peer', await folder.credentials('peer')]);
  expect(await listed()).toEqual(['mesh.json', 'peer.creds', 'user.creds']);
  await papers.retire();
  expect((await papers.address()).member?.role).toBe('peer');
});

it('the machine that made the mesh keeps what it has: it never was a peer only', async () => {
  const { papers, listed } = await newHome('user', 'anchor', 'system');
  const before = await listed();
  await papers.retire();
  expect(await listed()).toEqual(before);
});
