import { expect, it } from 'vitest';
import { revokedRecord, withCertificate } from './member-record.ts';

const desk = { name: 'desk', role: 'peer' as const, sinceMs: 5 };

it('counts the time of a member from its first day, and after a revocation anew', () => {
  const first = withCertificate(undefined, desk, 'A');
  const again = withCertificate(first, { ...desk, sinceMs: 9 }, 'B');
  expect(again).toEqual({ ...desk, certificates: ['A', 'B'], revoked: [] });
  const revoked = revokedRecord(again, 10);
  expect(revoked).toEqual({ ...desk, certificates: [], revoked: ['A', 'B'], revokedAtMs: 10 });
  const back = withCertificate(revoked, { ...desk, sinceMs: 11 }, 'C');
  expect(back).toEqual({ ...desk, sinceMs: 11, certificates: ['C'], revoked: ['A', 'B'] });
});

it('never forgets a revoked certificate, and no more certificates are good than can be listed', () => {
  let record = withCertificate(undefined, desk, '0');
  for (let count = 1; count < 40; count += 1) record = withCertificate(record, desk, `${count}`);
  expect(record.certificates).toHaveLength(16);
  expect(record.certificates.at(-1)).toBe('39');
  const all = Array.from({ length: 40 }, (_, count) => `${count}`);
  expect(record.revoked).toEqual(all.slice(0, 24));
  expect(revokedRecord(revokedRecord(record, 1), 2).revoked).toEqual(all);
});

it('remembers when a certificate was renewed, until it is again, and is bounded', () => {
  let record = withCertificate(undefined, { ...desk, renewedAtMs: 7 }, '0');
  expect(withCertificate(record, desk, '1').renewedAtMs).toBe(7);
  expect(withCertificate(record, { ...desk, renewedAtMs: 8 }, '1').renewedAtMs).toBe(8);
  for (let count = 1; count < 1_100; count += 1) record = withCertificate(record, desk, `${count}`);
  expect(record.revoked).toHaveLength(1_024);
  expect(revokedRecord(record, 9).revoked.at(-1)).toBe('1099');
});
