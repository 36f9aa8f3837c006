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
  expect(revokedRecord(revokedRecord(record, 1), 2).revoked).toHaveLength(16);
});
