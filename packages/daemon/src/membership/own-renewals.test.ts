import { Authority, CertificateAuthority, MEMBER_DAYS, MeshFolder } from '@podmesh/authority';
import { rolePermissions } from '@podmesh/jetstream';
import { DirectProcess, VirtualClock } from '@podmesh/testkit';
import type { OwnCertificate } from '@podmesh/transfer';
import { expect, it } from 'vitest';
import { settled, silent } from '../daemon.test-kit.ts';
import { temporaryFolder } from '../store/store.test-kit.ts';
import { ensureOwnCertificates, openCertificates } from './own-certificates.ts';
import { OwnRenewals } from './own-renewals.ts';

const DAY_MS = 24 * 60 * 60_000;

it('a daemon with the keys that is up for months shows its next certificate, and tells it to its server', async () => {
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
  const first = (await folder.certificates())?.certificate;
  const shown: OwnCertificate[] = [];
  let reloads = 0;
  const onServerCertificate = () => {
    reloads += 1;
  };
  const renewals = new OwnRenewals({ ...own, onServerCertificate, clock, now, logger: silent });
  renewals.onCertificate(async (one) => void shown.push(one));
  renewals.start();
  const pass = async (days: number) => {
    for (let day = 0; day < days; day += 1) {
      await virtual.advance(DAY_MS);
      // Files and keys are no matter of virtual time.
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  await pass(MEMBER_DAYS / 2);
  expect(shown).toEqual([]);
  await expect
    .poll(async () => {
      await pass(1);
      return shown.length;
    })
    .toBeGreaterThan(0);
  const mine = await folder.certificates();
  expect(mine?.certificate).not.toBe(first);
  expect(shown[0]?.cert).not.toBe(first);
  await expect
    .poll(async () => {
      await pass(10);
      return reloads;
    })
    .toBeGreaterThan(0);
  await settled(virtual, renewals.stop());
  await renewals.stop();
});
