import { X509Certificate } from 'node:crypto';
import { type MemberRecord, withCertificate } from '@podmesh/core';
import type { JetStreamRecords } from '@podmesh/jetstream';

/** The list of members, changed by one writer at a time. */
export type MemberRecords = Pick<JetStreamRecords<MemberRecord>, 'find' | 'write'>;

/** Writers that may be faster than we, one after the other, before something else is wrong. */
const TRIES_MAX = 100;

/**
 * Writes down that a member has this certificate, before it leaves the house: what is not in the list cannot be taken back
 * from who shows it. Nothing is written where it stands there, and false comes back where the member was revoked since.
 */
export async function enterMember(
  members: MemberRecords,
  member: Pick<MemberRecord, 'name' | 'role' | 'sinceMs' | 'renewedAtMs'>,
  certificate: string | undefined,
  mayReturn = false,
): Promise<boolean> {
  for (let tries = 0; tries < TRIES_MAX; tries += 1) {
    const known = await members.find(member.name);
    if (known?.value.revokedAtMs !== undefined && !mayReturn) return false;
    const print =
      certificate === undefined ? undefined : new X509Certificate(certificate).fingerprint256;
    if (print !== undefined && known?.value.revoked.includes(print) === true) return false;
    const isThere =
      known !== undefined &&
      known.value.revokedAtMs === undefined &&
      (print === undefined || known.value.certificates.includes(print));
    if (isThere) return true;
    const record = withCertificate(known?.value, member, print);
    if (await members.write(member.name, record, known?.revision ?? 0)) return true;
  }
  throw new Error(`the record of ${member.name} changes faster than it can be written`);
}
