import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  guestName,
  type InvitationWish,
  invitationIdOf,
  invitationState,
  newInvitation,
  useInvitation,
} from './invitation.ts';
import { type JoinRequest, openWelcome, parseJoinRequest, sealWelcome } from './join-request.ts';

const secret = randomBytes(12);
const wish: InvitationWish = { role: 'peer', lifeMs: 1_000, usesMax: 1 };
const made = (change: Partial<InvitationWish> = {}) =>
  newInvitation(secret, { ...wish, ...change }, 0);
const desk = { secret, name: 'desk', publicKey: 'UDESK' };
const attic = { secret, name: 'attic', publicKey: 'UATTIC' };

describe('an invitation', () => {
  it('lets in as many as it says, and one of them again without being used up', () => {
    const first = useInvitation(made(), desk, 1);
    if (!first.ok) throw new Error(first.error);
    expect(first.value.guests).toEqual([{ name: 'desk', publicKey: 'UDESK', atMs: 1 }]);
    expect(useInvitation(first.value, attic, 2)).toEqual({ ok: false, error: 'used-up' });
    // Its answer was lost: also later, and when the line has expired meanwhile.
    expect(useInvitation(first.value, desk, 2_000)).toEqual({ ok: true, value: first.value });
    const other = { ...desk, name: 'attic' };
    expect(useInvitation(first.value, other, 2)).toEqual({ ok: false, error: 'used-up' });
    expect(useInvitation(made({ usesMax: 2 }), desk, 1).ok).toBe(true);
  });

  it('ends at its time, and when it is revoked even for whoever came before', () => {
    expect(useInvitation(made(), desk, 999).ok).toBe(true);
    expect(useInvitation(made(), desk, 1_000)).toEqual({ ok: false, error: 'expired' });
    const revoked = { ...made(), guests: [{ ...desk, atMs: 1 }], revokedAtMs: 2 };
    expect(useInvitation(revoked, desk, 3)).toEqual({ ok: false, error: 'revoked' });
  });

  it('for a name lets in nobody else, and a wrong secret nobody at all', () => {
    expect(useInvitation(made({ name: 'desk' }), desk, 1).ok).toBe(true);
    expect(useInvitation(made({ name: 'desk' }), attic, 1)).toMatchObject({ error: 'wrong-name' });
    const wrong = { ...desk, secret: randomBytes(12) };
    expect(useInvitation(made(), wrong, 1)).toEqual({ ok: false, error: 'unknown' });
  });

  it('tells people in one word how it is, and never its secret', () => {
    expect(invitationState(made(), 1)).toBe('open');
    expect(invitationState(made(), 1_000)).toBe('expired');
    expect(invitationState({ ...made(), guests: [{ ...desk, atMs: 1 }] }, 2_000)).toBe('used up');
    expect(invitationState({ ...made(), revokedAtMs: 1 }, 2_000)).toBe('revoked');
    expect(JSON.stringify(made())).not.toContain(secret.toString('base64url'));
  });

  it('has a name that no member can have', () => {
    expect(() => guestName(invitationIdOf(secret))).toThrow(/invitations are called so/);
    expect(() => guestName('a.b')).toThrow(/no name of a member/);
    expect(() => guestName('Joiner')).toThrow(/the mesh itself uses it/);
    expect(guestName('inv-table')).toBe('inv-table');
  });
});

describe('a request to join', () => {
  const keys = { peer: 'U1', user: 'U2', anchor: 'U3', system: 'U4' };
  const request: JoinRequest = {
    version: 1,
    secret: secret.toString('base64url'),
    suggestion: 'desk',
    keys,
    certificateRequest: 'pem',
    serverRequest: 'pem',
    addresses: [],
    nonce: 'n',
  };
  const bytes = (value: unknown) => Buffer.from(JSON.stringify(value));

  it('is read back, and nothing that is no such thing is', () => {
    expect(parseJoinRequest(bytes(request))).toEqual(request);
    expect(parseJoinRequest(bytes({ ...request, version: 2 }))).toBe('other-version');
    const wrong = [
      [],
      null,
      { ...request, name: 7 },
      { ...request, keys: { ...keys, user: undefined } },
      { ...request, keys: null },
      { ...request, addresses: ['a', 7] },
      { ...request, addresses: Array.from({ length: 33 }, () => 'a') },
      { ...request, certificateRequest: 'x'.repeat(9_000) },
    ];
    for (const value of wrong) {
      const parsed = parseJoinRequest(bytes(value));
      expect(parsed === undefined || parsed === 'other-version').toBe(true);
    }
    expect(parseJoinRequest(Buffer.from('no json'))).toBeUndefined();
    expect(parseJoinRequest(Buffer.alloc(20_000))).toBeUndefined();
  });

  it('is answered for its own eyes: neither another secret nor another question opens it', () => {
    const welcome = {
      mesh: 'home',
      name: 'desk',
      role: 'peer' as const,
      servers: [],
      tokens: {},
      ca: 'pem',
      certificate: 'pem',
    };
    const sealed = sealWelcome(welcome, request);
    expect(openWelcome(sealed, request)).toEqual(welcome);
    expect(sealed).not.toContain('desk');
    expect(openWelcome(sealed, { ...request, nonce: 'm' })).toBeUndefined();
    const other = randomBytes(12).toString('base64url');
    expect(openWelcome(sealed, { ...request, secret: other })).toBeUndefined();
    expect(openWelcome('AAAA', request)).toBeUndefined();
  });
});
