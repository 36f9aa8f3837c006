import { X509Certificate } from 'node:crypto';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import {
  CertificateAuthority,
  fingerprintOf,
  isDue,
  joinerTokenIn,
  newRequest,
} from './certificate-authority.ts';

const DAY_MS = 24 * 60 * 60_000;

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'podmesh-ca-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  return join(folder, 'authority');
}

const make = (folder: string, now = Date.now) =>
  CertificateAuthority.make(
    folder,
    'home',
    now,
    async (secret) => `token ${secret.toString('hex')}`,
  );

it('is made once, also by two at the same time, and kept for its owner only', async () => {
  const folder = await newFolder();
  const [a, b] = await Promise.all([make(folder), make(folder)]);
  expect(a.certificate).toBe(b.certificate);
  const again = await CertificateAuthority.open(folder, Date.now);
  expect(again?.certificate).toBe(a.certificate);
  expect(again?.joinerSecret.equals(b.joinerSecret)).toBe(true);
  expect(await readdir(folder)).toEqual(['ca.pem']);
  expect((await stat(join(folder, 'ca.pem'))).mode & 0o777).toBe(0o600);
  expect((await stat(folder)).mode & 0o777).toBe(0o700);
});

it('says in public what lets a joiner ask, and not the secret of it', async () => {
  const ca = await make(await newFolder());
  const token = await joinerTokenIn(ca.certificate);
  expect(token).toBe(`token ${ca.joinerSecret.toString('hex')}`);
  expect(await joinerTokenIn('no certificate')).toBeUndefined();
});

it('signs members and servers with their names and addresses, for the key that they asked with', async () => {
  const ca = await make(await newFolder());
  const authority = new X509Certificate(ca.certificate);
  expect(authority.ca).toBe(true);
  const { request, key } = await newRequest('desk');
  const addresses = ['10.0.0.5', 'fd00::5'];
  const pem = await ca.signMember({ name: 'desk', request, addresses });
  const member = new X509Certificate(pem);
  expect(member.verify(authority.publicKey)).toBe(true);
  expect(member.checkIssued(authority)).toBe(true);
  expect(member.ca).toBe(false);
  expect(member.subject).toBe('CN=desk');
  expect(member.checkHost('desk.peer.podmesh')).toBe('desk.peer.podmesh');
  expect(member.checkIP('10.0.0.5')).toBe('10.0.0.5');
  const { createPrivateKey } = await import('node:crypto');
  expect(member.checkPrivateKey(createPrivateKey(key))).toBe(true);
  // No member passes for a server, and no server for a member.
  expect(member.checkHost('server.podmesh')).toBeUndefined();
  const server = await ca.signServer({ name: 'desk', request, addresses });
  expect(new X509Certificate(server).checkHost('server.podmesh')).toBe('server.podmesh');
  expect(new X509Certificate(server).checkHost('desk.peer.podmesh')).toBeUndefined();
  expect(server).toContain(ca.certificate);
});

it('takes only the key from a request, and only from one that was signed with it', async () => {
  const ca = await make(await newFolder());
  const { request } = await newRequest('server');
  const pem = await ca.signMember({ name: 'desk', request, addresses: [] });
  expect(new X509Certificate(pem).subject).toBe('CN=desk');
  const sign = (text: string, name = 'desk') =>
    ca.signMember({ name, request: text, addresses: [] });
  await expect(sign('nonsense')).rejects.toThrow(/not a certificate request/);
  const bytes = Buffer.from(request.replace(/-----[^-]+-----/g, ''), 'base64');
  bytes.writeUInt8(bytes.readUInt8(bytes.length - 3) ^ 1, bytes.length - 3);
  const forged = `-----BEGIN CERTIFICATE REQUEST-----\n${bytes.toString('base64')}\n-----END CERTIFICATE REQUEST-----`;
  await expect(sign(forged)).rejects.toThrow(/not a certificate request/);
  await expect(sign(request, 'a.b')).rejects.toThrow(/no name of a member/);
});

it('is recognised by its key, and does not sign for another mesh', async () => {
  const [ca, other] = [await make(await newFolder()), await make(await newFolder())];
  expect(ca.fingerprint.equals(fingerprintOf(ca.certificate))).toBe(true);
  expect(ca.fingerprint.length).toBe(16);
  expect(ca.fingerprint.equals(other.fingerprint)).toBe(false);
});

it('says when a certificate is to be made again: a third before its end, or when another signed it', async () => {
  const ca = await make(await newFolder(), () => 0);
  const { request } = await newRequest('desk');
  const pem = await ca.signServer({ name: 'desk', request, addresses: [] });
  expect(isDue(pem, ca.certificate, 0)).toBe(false);
  expect(isDue(pem, ca.certificate, 250 * DAY_MS)).toBe(false);
  expect(isDue(pem, ca.certificate, 280 * DAY_MS)).toBe(true);
  expect(isDue(pem, (await make(await newFolder())).certificate, 0)).toBe(true);
});

it('names the file that is damaged, and nothing that stands in it', async () => {
  const folder = await newFolder();
  await make(folder);
  await writeFile(join(folder, 'ca.pem'), 'half of a secret');
  const opened = CertificateAuthority.open(folder, Date.now);
  await expect(opened).rejects.toThrow(/ca\.pem is damaged/);
  await expect(opened).rejects.not.toThrow(/half/);
});
