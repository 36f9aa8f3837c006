import {
  Authority,
  CertificateAuthority,
  MEMBER_DAYS,
  MeshFolder,
  newRequest,
} from '@podmesh/authority';
import { rolePermissions } from '@podmesh/jetstream';
import { DirectProcess, VirtualClock } from '@podmesh/testkit';
import type { OwnCertificate } from '@podmesh/transfer';
import { expect, it } from 'vitest';
import { settled, silent } from '../daemon.test-kit.ts';
import { temporaryFolder } from '../store/store.test-kit.ts';
import { ensureOwnCertificates, openCertificates } from './own-certificates.ts';
import { OwnRenewals } from './own-renewals.ts';

const DAY_MS = 24 * 60 * 60_000;

/** A machine with the keys and its certificates, days that pass, and what its daemon is told. */
async function newCase() {
  const directory = await temporaryFolder();
  const virtual = new VirtualClock();
  const { clock } = new DirectProcess('keys', virtual);
  const startMs = Date.now();
  const now = () => startMs + clock.nowMs();
  const permissions = rolePermissions();
  const authority = await Authority.make('home', { directory, now, permissions });
  await openCertificates(directory, authority);
  const certificates = await CertificateAuthority.open(directory, now);
  if (certificates === undefined) throw new Error('there is no authority');
  const folder = new MeshFolder(await temporaryFolder());
  const own = { folder, certificates, name: 'keys' };
  await ensureOwnCertificates({ ...own, nowMs: now() });
  const current = async () => (await folder.certificates())?.certificate;
  /** Puts others into the folder, as a command of this machine does. */
  const another = async () => {
    const { request, key } = await newRequest('keys');
    const wish = { name: 'keys', request, addresses: [] };
    const server = await certificates.signServer(wish);
    await folder.setServerCertificate({ certificate: server, key });
    const certificate = await certificates.signMember(wish);
    await folder.setCertificates({ ca: certificates.certificate, certificate, key });
    return { certificate };
  };
  const shown: OwnCertificate[] = [];
  const reloads: number[] = [];
  const onServerCertificate = () => void reloads.push(1);
  const renewals = new OwnRenewals({ ...own, onServerCertificate, clock, now, logger: silent });
  renewals.onCertificate(async (one) => void shown.push(one));
  const pass = async (days: number) => {
    for (let day = 0; day < days; day += 1) {
      await virtual.advance(DAY_MS);
      // Files and keys are no matter of virtual time.
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const stop = () => settled(virtual, renewals.stop());
  return { renewals, shown, reloads, pass, stop, current, another };
}

it('a daemon with the keys that is up for months shows its next certificate, and tells it to its server', async () => {
  const { renewals, shown, reloads, pass, stop, current } = await newCase();
  const first = await current();
  await renewals.start();
  await pass(MEMBER_DAYS / 2);
  expect(shown).toEqual([]);
  await expect
    .poll(async () => {
      await pass(1);
      return shown.length;
    })
    .toBeGreaterThan(0);
  expect(await current()).not.toBe(first);
  expect(shown[0]?.cert).not.toBe(first);
  await expect
    .poll(async () => {
      await pass(10);
      return reloads.length;
    })
    .toBeGreaterThan(0);
  await stop();
  await renewals.stop();
});

it('what a command renewed in the folder is told to the daemon and its server, once', async () => {
  const { renewals, shown, reloads, pass, stop, another } = await newCase();
  await renewals.start();
  const { certificate } = await another();
  await expect
    .poll(async () => {
      await pass(1);
      return shown.map(({ cert }) => cert);
    })
    .toEqual([certificate]);
  await pass(5);
  expect(reloads).toHaveLength(1);
  expect(shown).toHaveLength(1);
  await stop();
});

it('a certificate that could not be told is told on another day', async () => {
  const { renewals, shown, pass, stop, another } = await newCase();
  let failures = 0;
  renewals.onCertificate(async () => {
    failures += 1;
    if (failures < 3) throw new Error('the mesh is away');
  });
  await renewals.start();
  const { certificate } = await another();
  await expect
    .poll(async () => {
      await pass(1);
      return failures;
    })
    .toBe(3);
  expect(shown.map(({ cert }) => cert)).toEqual([certificate, certificate, certificate]);
  await stop();
});
