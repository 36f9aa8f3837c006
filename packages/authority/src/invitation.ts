import { createHash, timingSafeEqual } from 'node:crypto';
import type { Result } from '@podmesh/core';
import { ok, refused } from '@podmesh/core';
import { memberName } from './role.ts';

/** Whom people can invite. */
export const INVITED_ROLES = ['peer', 'user', 'anchor'] as const;
export type InvitedRole = (typeof INVITED_ROLES)[number];

/** Somebody who came in with an invitation. */
export interface Guest {
  readonly name: string;
  /** Of its credentials: who asks again with the same gets the same answer, and uses nothing up. */
  readonly publicKey: string;
  readonly atMs: number;
}

/** What the authority remembers of a join line: all but its secret. */
export interface Invitation {
  readonly id: string;
  /** SHA-256 of the secret, hex. */
  readonly secretHash: string;
  readonly role: InvitedRole;
  /** Of the only member that it lets in. */
  readonly name?: string;
  readonly madeAtMs: number;
  readonly expiresAtMs: number;
  readonly usesMax: number;
  readonly guests: readonly Guest[];
  readonly revokedAtMs?: number;
}

export interface InvitationWish {
  readonly role: InvitedRole;
  readonly name?: string;
  readonly lifeMs: number;
  readonly usesMax: number;
}

/** Who asks to be let in. */
export interface Arrival {
  readonly secret: Buffer;
  readonly name: string;
  readonly publicKey: string;
}

/** Why somebody is not let in. */
export type JoinRefusalKind =
  | 'unknown'
  | 'expired'
  | 'used-up'
  | 'revoked'
  | 'wrong-name'
  | 'name-taken'
  | 'key-revoked'
  | 'malformed'
  | 'other-version'
  | 'unavailable';

export const LIFE_MS_MAX = 365 * 24 * 60 * 60_000;
export const USES_MAX = 1_000;
const ID = /^inv-[0-9a-f]{10}$/;
const ID_PREFIX = 'inv-';

/** Found by whoever has the secret, and of no use to whoever has not. */
export function invitationIdOf(secret: Buffer): string {
  return `${ID_PREFIX}${hashOf(secret).slice(0, 10)}`;
}

export const isInvitationId = (text: string): boolean => ID.test(text);

/** Whoever is called so would hear what is meant for others, or take others along when it is revoked. */
const RESERVED: readonly string[] = ['joiner', 'task', 'system', 'all'];

/** Whether the mesh itself is meant by it, and no member. */
export const isReservedName = (text: string): boolean => RESERVED.includes(text.toLowerCase());

/** Names of members are not taken for invitations. Throws a `TypeError` that says what a name is. */
export function guestName(text: string): string {
  const quoted = JSON.stringify(text.slice(0, 80));
  if (isInvitationId(text))
    throw new TypeError(`${quoted} is no name of a member: invitations are called so`);
  if (isReservedName(text))
    throw new TypeError(`${quoted} is no name of a member: the mesh itself uses it`);
  return memberName(text);
}

export function newInvitation(secret: Buffer, wish: InvitationWish, nowMs: number): Invitation {
  const { role, name, lifeMs, usesMax } = wish;
  return {
    id: invitationIdOf(secret),
    secretHash: hashOf(secret),
    role,
    ...(name === undefined ? {} : { name: guestName(name) }),
    madeAtMs: nowMs,
    expiresAtMs: nowMs + lifeMs,
    usesMax,
    guests: [],
  };
}

/** The invitation after somebody came in with it: the same one, where it was this guest before. */
export function useInvitation(
  invitation: Invitation,
  { secret, name, publicKey }: Arrival,
  nowMs: number,
): Result<Invitation, JoinRefusalKind> {
  if (!isSame(hashOf(secret), invitation.secretHash)) return refused('unknown');
  if (invitation.revokedAtMs !== undefined) return refused('revoked');
  const known = invitation.guests.find((guest) => guest.publicKey === publicKey);
  if (known?.name === name) return ok(invitation);
  if (nowMs >= invitation.expiresAtMs) return refused('expired');
  if (invitation.guests.length >= invitation.usesMax) return refused('used-up');
  if (invitation.name !== undefined && invitation.name !== name) return refused('wrong-name');
  const guests = [...invitation.guests, { name, publicKey, atMs: nowMs }];
  return ok({ ...invitation, guests });
}

/** What people read of it: one word. */
export function invitationState(
  invitation: Invitation,
  nowMs: number,
): 'open' | 'expired' | 'used up' | 'revoked' {
  if (invitation.revokedAtMs !== undefined) return 'revoked';
  if (invitation.guests.length >= invitation.usesMax) return 'used up';
  return nowMs >= invitation.expiresAtMs ? 'expired' : 'open';
}

const hashOf = (secret: Buffer): string => createHash('sha256').update(secret).digest('hex');

function isSame(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
}
