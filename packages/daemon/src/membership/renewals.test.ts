import { createPrivateKey, X509Certificate } from 'node:crypto';
import {
  Authority,
  CertificateAuthority,
  MEMBER_DAYS,
  MeshFolder,
  NatsKey,
  newRequest,
  parseRenewalAnswer,
} from '@podmesh/authority';
import { type MemberRecord, revokedRecord, withCertificate } from '@podmesh/core';
import { rolePermissions } from '@podmesh/jetstream';
import { type OwnCertificate, systemClock } from '@podmesh/transfer';
import { pino } from 'pino';
import { expect, it, vi } from 'vitest';
import { silent } from '../daemon.test-kit.ts';
import { temporaryFolder } from '../store/store.test-kit.ts';
import { MemoryRecords } from './memory-records.test-kit.ts';
import { openCertificates } from './own-certificates.ts';
import { RenewalDesk } from './renewal-desk.ts';
import { Renewals } from './renewals.ts';
import { TaskKeys } from './task-keys.ts';

const DAY_MS = 24 * 60 * 60_000;
const MACHINE = { kind: 'machine', name: 'lab' } as const;

/** A mesh with the member `lab`, a peer that has joined; what it asks is answered at once. */
async function newCase(role: 'peer' | 'anchor' | 'user' = 'peer', ageDays = 0) {
  const directory = await temporaryFolder();
  const now = Date.now;
  const authority = await Authority.make('home', {
    ...{ directory, now },
    permissions: rolePermissions(),
  });
  const certificates = await openCertificates(directory, authority);
  const authorityAgo = async (days: number): Promise<CertificateAuthority> => {
    const then = await CertificateAuthority.open(directory, () => now() - days * DAY_MS);
    if (then === undefined) throw new Error('there is no authority');
    return then;
  };
  const certify = async (name: string): Promise<OwnCertificate> => {
    const { request, key } = await newRequest(name);
    const then = await authorityAgo(ageDays);
    const cert = await then.signMember({ name, request, addresses: ['10.0.0.1'] });
    return { ca: then.certificate, cert, key };
  };
  await authority.sign({ role, name: 'lab', publicKey: NatsKey.create('user').publicText });
  const folder = new MeshFolder(await temporaryFolder());
  const { ca, cert, key } = await certify('lab');
  await folder.setCertificates({ ca, certificate: cert, key });
  await folder.setTaskSigning(authority.taskSigning);
  const members = new MemoryRecords<MemberRecord>();
  const asker = { kind: role === 'user' ? 'user' : 'machine', name: 'lab' } as const;
  const desk = new RenewalDesk({ authority, certificates, members, now, logger: silent });
  const answers: string[] = [];
  const shown: OwnCertificate[] = [];
  const said: string[] = [];
  const logger = pino({ level: 'info' }, { write: (line: string) => void said.push(line) });
  const taskKeys = new TaskKeys();
  taskKeys.set(authority.taskSigning);
  const ask = async (request: Uint8Array) => {
    const answer = await desk.answer(asker, request);
    answers.push(Buffer.from(answer).toString());
    return answer;
  };
  const renewals = new Renewals({
    ...{ folder, self: 'lab', ask, taskKeys, now, logger, clock: systemClock },
    onCertificate: (own) => shown.push(own),
  });
  const record = () => members.all.get('lab')?.value;
  return {
    authority,
    certificates,
    authorityAgo,
    certify,
    folder,
    members,
    desk,
    answers,
    shown,
    said,
    taskKeys,
    renewals,
    record,
  };
}

const SEAL_FOR = Buffer.alloc(32, 9).toString('base64url');
const leafOf = (chain: string): string =>
  `${chain.split('-----END CERTIFICATE-----')[0]}-----END CERTIFICATE-----`;
const printOf = (pem: string): string => new X509Certificate(pem).fingerprint256;

it('a member is in the list with the certificate that it shows, though it was never entered', async () => {
  const { renewals, record, folder, shown } = await newCase();
  await renewals.renew();
  const mine = (await folder.certificates())?.certificate ?? '';
  expect(record()).toMatchObject({ name: 'lab', role: 'peer', certificates: [printOf(mine)] });
  expect(shown).toEqual([]);
});

it('a member gets the other key that signs for tasks, which nobody else reads on its way', async () => {
  const { authority, renewals, folder, taskKeys, answers } = await newCase();
  let changes = 0;
  taskKeys.onChange(() => {
    changes += 1;
  });
  await renewals.renew();
  expect(changes).toBe(0);
  const { seed } = await authority.renewTaskSigning();
  await renewals.renew();
  expect(changes).toBe(1);
  expect(await folder.taskSigning()).toEqual(authority.taskSigning);
  expect(answers.join()).not.toContain(seed);
});

it('a certificate is renewed in time, and taken back with all others', async () => {
  const { renewals, folder, shown, record } = await newCase('peer', MEMBER_DAYS * 0.7);
  const old = (await folder.certificates())?.certificate ?? '';
  await renewals.renew();
  const mine = await folder.certificates();
  expect(mine?.certificate).not.toBe(old);
  expect(shown).toMatchObject([{ cert: mine?.certificate, key: mine?.key }]);
  expect(record()?.certificates).toEqual([printOf(old), printOf(mine?.certificate ?? '')]);
  const leaf = new X509Certificate(mine?.certificate ?? '');
  expect(leaf.checkPrivateKey(createPrivateKey(mine?.key ?? ''))).toBe(true);
  // Once is enough.
  await renewals.renew();
  expect(shown).toHaveLength(1);
});

it('a certificate is not renewed before it is due, whoever asks how often', async () => {
  const { desk, folder, record } = await newCase();
  const { request } = await newRequest('lab');
  const certificate = (await folder.certificates())?.certificate;
  const sealFor = Buffer.alloc(32, 9).toString('base64url');
  const wish = { version: 1, sealFor, certificate, certificateRequest: request, addresses: [] };
  for (let n = 0; n < 20; n += 1) await desk.answer(MACHINE, Buffer.from(JSON.stringify(wish)));
  expect(record()?.certificates).toHaveLength(1);
});

it('a certificate that is due is renewed once a day, and none is pushed out of the list', async () => {
  const { desk, folder, record } = await newCase('peer', MEMBER_DAYS * 0.7);
  const certificate = (await folder.certificates())?.certificate;
  const sealFor = Buffer.alloc(32, 9).toString('base64url');
  for (let n = 0; n < 20; n += 1) {
    const { request } = await newRequest('lab');
    const wish = { version: 1, sealFor, certificate, certificateRequest: request, addresses: [] };
    await desk.answer(MACHINE, Buffer.from(JSON.stringify(wish)));
  }
  expect(record()?.certificates).toHaveLength(2);
  expect(record()?.certificates[0]).toBe(printOf(certificate ?? ''));
});

it('a certificate that has expired is not renewed, and its owner reads what to do', async () => {
  const { renewals, shown, said } = await newCase('peer', MEMBER_DAYS + 2);
  await renewals.renew();
  expect(shown).toEqual([]);
  expect(said.join()).toMatch(/expired.*podmesh invite.*podmesh join LINE/);
});

it('who was revoked gets nothing, also between the two steps of it', async () => {
  const { authority, renewals, said, record, members, answers } = await newCase();
  await renewals.renew();
  const known = record();
  if (known === undefined) throw new Error('it was not entered');
  await members.write('lab', revokedRecord(known, 1), 1);
  await renewals.renew();
  expect(answers.at(-1)).toContain('not-a-member');
  await authority.revoke('lab');
  await renewals.renew();
  expect(answers.at(-1)).toContain('not-a-member');
  expect(said.join()).toMatch(/not a member of the mesh any more/);
});

it('a certificate that was taken back is not entered again by who was invited anew', async () => {
  const { renewals, record, members, folder, answers } = await newCase();
  const print = printOf((await folder.certificates())?.certificate ?? '');
  const out = revokedRecord(
    withCertificate(undefined, { name: 'lab', role: 'peer', sinceMs: 1 }, print),
    2,
  );
  await members.write(
    'lab',
    withCertificate(out, { name: 'lab', role: 'peer', sinceMs: 3 }, 'other'),
    0,
  );
  await renewals.renew();
  expect(answers.at(-1)).toContain('not-a-member');
  expect(record()?.certificates).toEqual(['other']);
});

it('a person is given no key that signs for tasks', async () => {
  const { authority, renewals, folder, taskKeys } = await newCase('user');
  let changes = 0;
  taskKeys.onChange(() => {
    changes += 1;
  });
  const before = await folder.taskSigning();
  await authority.renewTaskSigning();
  await renewals.renew();
  expect(await folder.taskSigning()).toEqual(before);
  expect(changes).toBe(0);
});

it.each(['peer', 'anchor'] as const)(
  'the credentials of a user of a %s are worth nothing of it',
  async (role) => {
    const { authority, desk, folder, record } = await newCase(role, MEMBER_DAYS * 0.7);
    const { publicText: publicKey } = NatsKey.create('user');
    await authority.sign({ role: 'user', name: 'lab', publicKey });
    const { request } = await newRequest('lab');
    const wish = {
      version: 1,
      sealFor: SEAL_FOR,
      certificate: (await folder.certificates())?.certificate,
      certificateRequest: request,
      serverRequest: request,
      addresses: ['10.0.0.9'],
    };
    const asker = { kind: 'user', name: 'lab' } as const;
    const answer = await desk.answer(asker, Buffer.from(JSON.stringify(wish)));
    expect(parseRenewalAnswer(answer)).toEqual({ kind: 'refused', why: 'not-a-member' });
    expect(record()).toBeUndefined();
  },
);

it('a server’s certificate is renewed where it is shown and due, and to nobody else', async () => {
  const { certificates, desk, authorityAgo } = await newCase('anchor');
  const signed = vi.spyOn(certificates, 'signServer');
  const { request } = await newRequest('lab');
  const madeDaysAgo = async (days: number, name = 'lab'): Promise<string> => {
    const then = await authorityAgo(days);
    return then.signServer({ name, request, addresses: ['10.0.0.1'] });
  };
  const ask = async (serverCertificate?: string) => {
    const wish = { version: 1, sealFor: SEAL_FOR, serverRequest: request, addresses: ['10.0.0.2'] };
    await desk.answer(MACHINE, Buffer.from(JSON.stringify({ ...wish, serverCertificate })));
  };
  await ask();
  for (const [days, name] of [[1], [500], [350, 'other']] as const)
    await ask(leafOf(await madeDaysAgo(days, name)));
  await ask('no certificate');
  expect(signed).not.toHaveBeenCalled();
  await ask(leafOf(await madeDaysAgo(350)));
  expect(signed.mock.calls).toMatchObject([[{ addresses: ['10.0.0.1', '10.0.0.2'] }]]);
});

it('another member’s certificate counts as none', async () => {
  const { certify, folder, renewals, record } = await newCase();
  const { ca, cert, key } = await certify('other');
  await folder.setCertificates({ ca, certificate: cert, key });
  await renewals.renew();
  expect(record()?.certificates).toEqual([]);
});

it.each(['', '{}', 'null', '{"version":1,"sealFor":7,"addresses":[]}', 'x'.repeat(40_000)])(
  'nonsense is refused: %.20s',
  async (text) => {
    const { desk } = await newCase();
    const answer = parseRenewalAnswer(await desk.answer(MACHINE, Buffer.from(text)));
    expect(answer).toEqual({ kind: 'refused', why: 'malformed' });
  },
);

it('a machine with the keys that is off for a while is asked again', async () => {
  const bench = await newCase();
  const asked: number[] = [];
  const done = new Promise<void>((resolve) => {
    const renewals = new Renewals({
      ...{ folder: bench.folder, self: 'lab', taskKeys: bench.taskKeys, now: Date.now },
      ...{ logger: silent, clock: systemClock, onCertificate: () => undefined },
      ask: async (request) => {
        asked.push(1);
        if (asked.length < 2) throw new Error('nobody answers');
        const answer = await bench.desk.answer(MACHINE, request);
        resolve(renewals.stop());
        return answer;
      },
    });
    renewals.start();
  });
  await done;
  expect(asked).toHaveLength(2);
});
