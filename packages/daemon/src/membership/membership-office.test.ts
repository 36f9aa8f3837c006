import { Authority, NatsKey } from '@podmesh/authority';
import type { MemberRecord } from '@podmesh/core';
import { rolePermissions } from '@podmesh/jetstream';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../store/store.test-kit.ts';
import { MembershipOffice } from './membership-office.ts';
import { MemoryRecords } from './memory-records.test-kit.ts';
import { openCertificates } from './own-certificates.ts';

/** A mesh with one member besides the machine that made it, whose servers may be out of reach. */
async function newOffice(role: 'peer' | 'user') {
  const directory = await temporaryFolder();
  const now = Date.now;
  const permissions = rolePermissions();
  const authority = await Authority.make('home', { directory, now, permissions });
  await authority.sign({ role, name: 'lab', publicKey: NatsKey.create('user').publicText });
  const members = new MemoryRecords<MemberRecord>();
  const record = { name: 'lab', role, sinceMs: 1, certificates: [], revoked: [] };
  await members.write('lab', record, 0);
  const reach = { isThere: true };
  const seeds: string[] = [];
  const office = new MembershipOffice({
    authority,
    certificates: await openCertificates(directory, authority),
    servers: async () => [],
    pushTrust: async () => {
      if (!reach.isThere) throw new Error('no server answers');
    },
    invitations: new MemoryRecords(),
    members,
    self: 'home',
    now,
    onTaskSigning: async ({ seed }) => void seeds.push(seed),
  });
  return { authority, office, reach, seeds, first: authority.taskSigning.seed };
}

it('whoever ran tasks is revoked with the key that signs for them', async () => {
  const { authority, office, seeds, first } = await newOffice('peer');
  expect(await office.revoke('lab')).toEqual({ kind: 'member', name: 'lab', newTaskKey: true });
  expect(seeds).toEqual([authority.taskSigning.seed]);
  expect(seeds).not.toContain(first);
});

it('a revocation that no server heard of is finished by repeating it, the key of tasks too', async () => {
  const { authority, office, reach, seeds, first } = await newOffice('peer');
  reach.isThere = false;
  await expect(office.revoke('lab')).rejects.toThrow('no server answers');
  expect(seeds).toEqual([]);
  reach.isThere = true;
  await office.revoke('lab');
  expect(seeds).toEqual([authority.taskSigning.seed]);
  expect(seeds).not.toContain(first);
});

it('a person who leaves signed for nobody', async () => {
  const { office, seeds, authority, first } = await newOffice('user');
  expect(await office.revoke('lab')).toEqual({ kind: 'member', name: 'lab' });
  expect([seeds, authority.taskSigning.seed]).toEqual([[], first]);
});
