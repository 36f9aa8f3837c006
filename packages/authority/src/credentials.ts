import { decode, encodeUser, fmtCreds, type User } from '@nats-io/jwt';
import { NatsKey } from './nats-key.ts';
import type { Role } from './role.ts';

/** Whom a signature is for; the key stays with whoever made it. */
export interface Identity {
  readonly name: string;
  readonly publicKey: string;
  /** Lower case, `key:value`; permissions speak of them. */
  readonly tags?: readonly string[];
  /** Milliseconds since 1970; without end where absent. */
  readonly expiresAtMs?: number;
}

/** Of which account, and by whose hand. */
export interface Signature {
  /** Public key of the account. */
  readonly account: string;
  readonly signer: NatsKey;
}

/** The token of a user whose permissions are those of the signer's role. */
export function signUser(identity: Identity, { account, signer }: Signature): Promise<string> {
  const { name, publicKey, tags, expiresAtMs } = identity;
  const user: Partial<User> = { issuer_account: account, ...(tags ? { tags: [...tags] } : {}) };
  // Whole seconds, rounded up: rounded down a short life could be over before it began.
  const life = expiresAtMs === undefined ? {} : { exp: Math.ceil(expiresAtMs / 1_000) };
  return encodeUser(name, publicKey, signer, user, { scopedUser: true, ...life });
}

/** Token and key in the text that all NATS programs read as `.creds`. */
export function credentialsText(token: string, key: NatsKey): string {
  return new TextDecoder().decode(fmtCreds(token, key));
}

/** What credentials say of themselves. */
export interface OpenedCredentials {
  readonly name: string;
  readonly token: string;
  readonly key: NatsKey;
  readonly account: string;
  readonly expiresAtMs?: number;
}

const TOKEN = /-----BEGIN NATS USER JWT-----\s*([A-Za-z0-9_.-]+)\s*-+END NATS USER JWT-+/;
const SEED = /-----BEGIN USER NKEY SEED-----\s*([A-Z2-7]+)\s*-+END USER NKEY SEED-+/;

/** Throws a `TypeError` for what are no credentials, or whose key is not that of the token; it quotes nothing. */
export function openCredentials(text: string): OpenedCredentials {
  const token = TOKEN.exec(text)?.[1];
  const seed = SEED.exec(text)?.[1];
  if (token === undefined || seed === undefined) throw new TypeError('these are no credentials');
  const key = NatsKey.fromSeed(seed);
  const claims = readClaims(token);
  if (claims.sub !== key.publicText) throw new TypeError('credentials with the key of another');
  return {
    name: claims.name,
    token,
    key,
    account: claims.nats.issuer_account ?? claims.iss,
    ...(claims.exp === undefined ? {} : { expiresAtMs: claims.exp * 1_000 }),
  };
}

function readClaims(token: string) {
  try {
    return decode<User>(token);
  } catch {
    throw new TypeError('damaged credentials: their token is not signed');
  }
}

/** Roles of the system account reach servers, all others the account of the mesh. */
export const isOfSystem = (role: Role): boolean => role === 'system';
