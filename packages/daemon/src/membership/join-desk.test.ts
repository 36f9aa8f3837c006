import { randomBytes } from 'node:crypto';
import {
  Authority,
  type Invitation,
  type JoinRequest,
  NatsKey,
  newInvitation,
  newRequest,
} from '@podmesh/authority';
import type { MemberRecord } from '@podmesh/core';
import { rolePermissions } from '@podmesh/jetstream';
import { expect, it } from 'vitest';
import { silent } from '../daemon.test-kit.ts';
import { temporaryFolder } from '../store/store.test-kit.ts';
import { JoinDesk } from './join-desk.ts';
import { MemoryRecords } from './memory-records.test-kit.ts';
import { openCertificates } from './own-certificates.ts';

async function newDesk() {
  const directory = await temporaryFolder();
  const options = { directory, permissions: rolePermissions(), now: Date.now };
  const authority = await Authority.make('home', options);
  const certificates = await openCertificates(directory, authority);
  const invitations = new MemoryRecords<Invitation>();
  const members = new MemoryRecords<MemberRecord>();
  const desk = new JoinDesk({
    ...{ authority, certificates, invitations, members, now: Date.now, logger: silent },
    servers: async () => ['10.0.0.1:4222'],
  });
  const secret = randomBytes(16);
  const invitation = newInvitation(
    secret,
    { role: 'peer', lifeMs: 60_000, usesMax: 1 },
    Date.now(),
  );
  await invitations.write(invitation.id, invitation, 0);
  const { request: certificateRequest } = await newRequest('desk');
  const key = () => NatsKey.create('user').publicText;
  const good: JoinRequest = {
    version: 1,
    secret: secret.toString('base64url'),
    suggestion: 'desk',
    keys: { peer: key(), user: key(), anchor: key(), system: key() },
    ...{ certificateRequest, serverRequest: certificateRequest },
    addresses: [],
    nonce: 'AAAA',
  };
  const ask = async (request: object): Promise<{ kind: string; why?: string }> =>
    JSON.parse(Buffer.from(await desk.answer(Buffer.from(JSON.stringify(request)))).toString());
  const guests = async () => (await invitations.find(invitation.id))?.value.guests.length;
  return { good, ask, guests, members };
}

it.each([
  ['a key that is none', (good: JoinRequest) => ({ keys: { ...good.keys, peer: 'UABC' } })],
  ['a request for a certificate that is none', () => ({ certificateRequest: 'x' })],
  ['one for its server', () => ({ serverRequest: '-----BEGIN CERTIFICATE REQUEST-----' })],
])('%s uses no invitation up', async (_, wrong) => {
  const { good, ask, guests, members } = await newDesk();
  const refused = await ask({ ...good, ...wrong(good) });
  expect(refused).toMatchObject({ kind: 'refused', why: 'malformed' });
  expect(await guests()).toBe(0);
  expect(await members.list()).toEqual([]);
  expect(await ask(good)).toMatchObject({ kind: 'welcome' });
  expect(await guests()).toBe(1);
  expect(await members.list()).toMatchObject([{ name: 'desk', role: 'peer' }]);
});

it('who sends nothing but nonsense with a line is not looked at any more', async () => {
  const { good, ask, guests } = await newDesk();
  const wrong = { ...good, certificateRequest: 'x' };
  for (let n = 0; n < 50; n += 1) expect((await ask(wrong)).why).toBe('malformed');
  expect((await ask(good)).why).toBe('malformed');
  expect(await guests()).toBe(0);
});
