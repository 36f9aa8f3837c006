import { createHash, hkdfSync, randomBytes } from 'node:crypto';
import { JOINER_SECRET_BYTES } from './certificate-authority.ts';
import { NatsKey } from './nats-key.ts';

/** All that a machine must know to join, in one line that can be pasted, scanned or typed. */
export interface JoinLine {
  /** `host:port` of servers, the likeliest first. */
  readonly servers: readonly string[];
  /** Of the mesh's certificate authority. */
  readonly fingerprint: Buffer;
  /** Lets its holder ask. */
  readonly joinerSecret: Buffer;
  /** Lets its holder in. */
  readonly invitationSecret: Buffer;
}

const PREFIX = 'podmesh1';
const FINGERPRINT_BYTES = 16;
const INVITATION_BYTES = 12;
const CHECK_BYTES = 3;
const SERVERS_MAX = 8;
const LINE_CHARS_MAX = 1_000;
const SERVER = /^(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9][A-Za-z0-9.-]{0,252}):([1-9]\d{0,4})$/;
const SECRETS_BYTES = FINGERPRINT_BYTES + JOINER_SECRET_BYTES + INVITATION_BYTES;

export const newInvitationSecret = (): Buffer => randomBytes(INVITATION_BYTES);

/** `podmesh1.<52 letters>@host:port,host:port`: nothing in it means anything to a shell. */
export function joinLineText(line: JoinLine): string {
  const { servers, fingerprint, joinerSecret, invitationSecret } = line;
  const places = servers.slice(0, SERVERS_MAX).join(',');
  const secrets = Buffer.concat([fingerprint, joinerSecret, invitationSecret]);
  const checked = Buffer.concat([secrets, checkOf(secrets, places)]);
  return `${PREFIX}.${checked.toString('base64url')}@${places}`;
}

/** Why it is no line, as a sentence; it quotes nothing of the secrets. */
export type LineProblem = { readonly kind: 'no-line' | 'mangled'; readonly message: string };

export function parseJoinLine(text: string): JoinLine | LineProblem {
  const line = text.replace(/\s+/g, '');
  if (!line.startsWith(`${PREFIX}.`)) {
    const message = `this is no join line: they begin with ${PREFIX}. and are printed by "podmesh invite"`;
    return { kind: 'no-line', message };
  }
  const mangled: LineProblem = {
    kind: 'mangled',
    message: 'this join line is not whole: letters are missing, changed or in the wrong place',
  };
  const [head = '', places = '', ...rest] = line.slice(PREFIX.length + 1).split('@');
  if (rest.length > 0 || line.length > LINE_CHARS_MAX || !/^[A-Za-z0-9_-]+$/.test(head))
    return mangled;
  const bytes = Buffer.from(head, 'base64url');
  const secrets = bytes.subarray(0, SECRETS_BYTES);
  if (bytes.length !== SECRETS_BYTES + CHECK_BYTES) return mangled;
  if (!bytes.subarray(SECRETS_BYTES).equals(checkOf(secrets, places))) return mangled;
  const servers = places.split(',');
  if (servers.length > SERVERS_MAX || !servers.every(isServerAddress)) return mangled;
  return {
    servers,
    fingerprint: secrets.subarray(0, FINGERPRINT_BYTES),
    joinerSecret: secrets.subarray(FINGERPRINT_BYTES, FINGERPRINT_BYTES + JOINER_SECRET_BYTES),
    invitationSecret: secrets.subarray(FINGERPRINT_BYTES + JOINER_SECRET_BYTES),
  };
}

/** Whether it is `host:port`, an IPv6 address in brackets. */
export function isServerAddress(text: string): boolean {
  return Number(SERVER.exec(text)?.[2] ?? 65_536) < 65_536;
}

/** The key with which whoever has the secret connects, to ask. */
export function joinerKey(joinerSecret: Buffer): NatsKey {
  const seed = hkdfSync('sha256', joinerSecret, '', 'podmesh joiner key 1', 32);
  return NatsKey.fromRaw('user', Buffer.from(seed));
}

/** A slip of the hand is told apart from a wrong line without asking anybody. */
function checkOf(secrets: Uint8Array, places: string): Buffer {
  const hash = createHash('sha256').update(secrets).update(places).digest();
  return hash.subarray(0, CHECK_BYTES);
}
