/** What somebody is in a mesh, as people invite them; an anchor is a peer whose machine also carries the mesh. */
export type MemberRole = 'peer' | 'user' | 'anchor';

/** What all members may know of each other; written by whoever holds the keys of the mesh. */
export interface MemberRecord {
  readonly name: string;
  readonly role: MemberRole;
  /** Milliseconds since 1970, by the clock of the machine with the keys. */
  readonly sinceMs: number;
  /** Of the certificates that are good: SHA-256 as Node writes it. */
  readonly certificates: readonly string[];
  /** Of those that are good no more. */
  readonly revoked: readonly string[];
  readonly revokedAtMs?: number;
  /** When its certificate was renewed last, by the same clock; absent: never. */
  readonly renewedAtMs?: number;
}

/** A member as it is listed. */
export interface ListedMember extends MemberRecord {
  /** When it said last that it is there, by the server's clock; absent: never. */
  readonly seenAtMs?: number;
}

/** Who is in the mesh. */
export interface MemberDirectory {
  /** In the order of their names; empty in a mesh without roles. */
  list(): Promise<readonly ListedMember[]>;
  /** Changes whenever a record does; cheap, to be asked often. */
  revision(): Promise<string>;
}

/** Certificates that a member may have at a time: it joined again and again. */
const CERTIFICATES_MAX = 16;
/** By far more than can be good still: renewed once a day, they last for 180. */
const REVOKED_MAX = 1_024;

/**
 * The record with one more certificate, if there is one; who was revoked and is invited again is a member again. The
 * oldest of too many are revoked: what the list forgot could not be taken back any more.
 */
export function withCertificate(
  known: MemberRecord | undefined,
  member: Pick<MemberRecord, 'name' | 'role' | 'sinceMs' | 'renewedAtMs'>,
  certificate: string | undefined,
): MemberRecord {
  const { certificates = [], revoked = [] } = known ?? {};
  const all = [...certificates, ...(certificate === undefined ? [] : [certificate])];
  const old = all.slice(0, -CERTIFICATES_MAX);
  const { renewedAtMs = known?.renewedAtMs } = member;
  const wasIn = known !== undefined && known.revokedAtMs === undefined;
  return {
    ...member,
    sinceMs: wasIn ? known.sinceMs : member.sinceMs,
    certificates: all.slice(-CERTIFICATES_MAX),
    revoked: [...revoked, ...old].slice(-REVOKED_MAX),
    ...(renewedAtMs === undefined ? {} : { renewedAtMs }),
  };
}

/** The record of somebody who is in no more. */
export function revokedRecord(record: MemberRecord, atMs: number): MemberRecord {
  const revoked = [...new Set([...record.revoked, ...record.certificates])];
  return { ...record, certificates: [], revoked: revoked.slice(-REVOKED_MAX), revokedAtMs: atMs };
}
