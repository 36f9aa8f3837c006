import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CertificateAuthority, MEMBER_DAYS, MeshFolder, newRequest } from '@podmesh/authority';
import { expect, it, onTestFinished } from 'vitest';
import { renewUser } from './renew-user.ts';

const DAY_MS = 24 * 60 * 60_000;

/** The folder of somebody whose certificate is about to end; whether it asks for another. */
async function newCase() {
  const home = await mkdtemp(join(tmpdir(), 'podmesh-renew-'));
  onTestFinished(() => rm(home, { recursive: true, force: true }));
  const then = () => Date.now() - MEMBER_DAYS * 0.9 * DAY_MS;
  const authority = await CertificateAuthority.make(
    join(home, 'keys'),
    'home',
    then,
    async () => '',
  );
  const { request, key } = await newRequest('ann');
  const certificate = await authority.signMember({ name: 'ann', request, addresses: [] });
  const folder = new MeshFolder(join(home, 'mesh'));
  await folder.setCertificates({ ca: authority.certificate, certificate, key });
  const asks = async (): Promise<boolean> => {
    let hasAsked = false;
    const ask = async () => {
      hasAsked = true;
      return Buffer.from('{"kind":"refused","why":"unavailable"}');
    };
    expect(await renewUser({ folder, self: 'ann', ask, now: Date.now })).toBe(false);
    return hasAsked;
  };
  return { folder, asks };
}

it('a person asks for the next certificate when the present one is about to end', async () => {
  const { asks } = await newCase();
  expect(await asks()).toBe(true);
});

it.each(['peer', 'anchor'] as const)(
  'the daemon of a home with credentials of a %s asks itself',
  async (role) => {
    const { folder, asks } = await newCase();
    await folder.setCredentials(role, 'credentials');
    expect(await asks()).toBe(false);
  },
);
