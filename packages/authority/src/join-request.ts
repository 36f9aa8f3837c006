import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import type { TaskSigning } from './authority.ts';
import type { InvitedRole, JoinRefusalKind } from './invitation.ts';

/** What a machine that joins sends: public halves only, and the proof that it was invited. */
export interface JoinRequest {
  readonly version: 1;
  /** Base64url of the invitation's secret. */
  readonly secret: string;
  /** As its owner calls it; absent: as the invitation says, or else the suggestion with a number behind it. */
  readonly name?: string;
  readonly suggestion: string;
  /** Public keys of its credentials, one for each role that it may get. */
  readonly keys: Readonly<Record<'peer' | 'user' | 'anchor' | 'system', string>>;
  /** PEM requests for certificates. */
  readonly certificateRequest: string;
  readonly serverRequest: string;
  readonly addresses: readonly string[];
  /** Base64url; the answer's seal is made with it. */
  readonly nonce: string;
}

/** What a member needs beside its own keys. */
export interface Welcome {
  readonly mesh: string;
  readonly name: string;
  readonly role: InvitedRole;
  /** Where the mesh's servers are, as far as the authority knows. */
  readonly servers: readonly string[];
  /** Signed tokens by the role of their key. */
  readonly tokens: Readonly<Record<string, string>>;
  readonly ca: string;
  readonly certificate: string;
  /** Of anchors. */
  readonly serverCertificate?: string;
  /** Of peers and anchors. */
  readonly taskSigning?: TaskSigning;
}

export type JoinAnswer =
  | { readonly kind: 'welcome'; readonly sealed: string }
  | { readonly kind: 'refused'; readonly why: JoinRefusalKind; readonly message: string };

const PURPOSE = 'podmesh join 1';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const TEXT_CHARS_MAX = 8_192;
const ADDRESSES_MAX = 32;
/** Bytes of a request: whoever may only ask may not ask for much. */
export const JOIN_REQUEST_BYTES_MAX = 16 * 1024;

/** The request in a message; undefined for what is none. Names and keys in it are still only texts. */
export function parseJoinRequest(bytes: Uint8Array): JoinRequest | 'other-version' | undefined {
  if (bytes.length > JOIN_REQUEST_BYTES_MAX) return undefined;
  const said = parseObject(bytes);
  if (said === undefined) return undefined;
  if (said.version !== 1) return 'other-version';
  const { secret, name, suggestion, certificateRequest, serverRequest, addresses, nonce } = said;
  const keys = said.keys as Record<string, unknown> | null | undefined;
  const texts = [secret, name ?? '', suggestion, certificateRequest, serverRequest, nonce];
  const roles = ['peer', 'user', 'anchor', 'system'] as const;
  if (!texts.every(isText) || !Array.isArray(addresses)) return undefined;
  if (addresses.length > ADDRESSES_MAX || !addresses.every(isText)) return undefined;
  if (typeof keys !== 'object' || keys === null || !roles.every((role) => isText(keys[role])))
    return undefined;
  return said as unknown as JoinRequest;
}

/** Only whoever has the line reads the answer, though others may be asking at the same time. */
export function sealWelcome(welcome: Welcome, request: JoinRequest): string {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', sealKey(request), nonce);
  const sealed = Buffer.concat([cipher.update(JSON.stringify(welcome), 'utf8'), cipher.final()]);
  return Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString('base64');
}

/** Undefined for what was not sealed for this request. */
export function openWelcome(sealed: string, request: JoinRequest): Welcome | undefined {
  try {
    const bytes = Buffer.from(sealed, 'base64');
    const nonce = bytes.subarray(0, NONCE_BYTES);
    const opener = createDecipheriv('aes-256-gcm', sealKey(request), nonce);
    opener.setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
    const rest = bytes.subarray(NONCE_BYTES + TAG_BYTES);
    const text = Buffer.concat([opener.update(rest), opener.final()]).toString('utf8');
    return JSON.parse(text) as Welcome;
  } catch {
    return undefined;
  }
}

function sealKey({ secret, nonce }: JoinRequest): Buffer {
  return Buffer.from(hkdfSync('sha256', Buffer.from(secret, 'base64url'), nonce, PURPOSE, 32));
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value.length <= TEXT_CHARS_MAX;
}

function parseObject(bytes: Uint8Array): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'));
    return typeof value === 'object' && value !== null
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}
