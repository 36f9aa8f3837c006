import type { RunId } from '@podmesh/core';
import type { TaskSigning } from './authority.ts';

/** What a sealed renewal is for, where boxes for tasks name their run. */
export const RENEWAL = 'renewal' as RunId;
export const RENEWAL_ENTRY = 'renewal';

/** What a member asks for, over its own connection, which says who it is. Public halves only. */
export interface RenewalRequest {
  readonly version: 1;
  /** X25519, base64url, made for this question alone: the answer is sealed for it. */
  readonly sealFor: string;
  /** PEM of its certificate as it is; absent: it has none. */
  readonly certificate?: string;
  /** PEM request for the next one, where that is due. */
  readonly certificateRequest?: string;
  /** The same of the server that it may carry. */
  readonly serverCertificate?: string;
  readonly serverRequest?: string;
  readonly addresses: readonly string[];
}

/** What it gets. */
export interface Renewal {
  /** Of whoever runs tasks: a person signs for none. */
  readonly taskSigning?: TaskSigning;
  readonly ca: string;
  /** Only where it was asked for and due. */
  readonly certificate?: string;
  readonly serverCertificate?: string;
}

export type RenewalRefusalKind = 'malformed' | 'not-a-member' | 'expired' | 'unavailable';

export type RenewalAnswer =
  | { readonly kind: 'renewed'; readonly sealed: string }
  | { readonly kind: 'refused'; readonly why: RenewalRefusalKind };

const TEXT_CHARS_MAX = 8_192;
const ADDRESSES_MAX = 32;
/** Bytes of a request. */
const REQUEST_BYTES_MAX = 32 * 1024;

/** The request in a message; undefined for what is none. What is in it are still only texts. */
export function parseRenewalRequest(bytes: Uint8Array): RenewalRequest | undefined {
  if (bytes.length > REQUEST_BYTES_MAX) return undefined;
  const said = parseObject(bytes);
  if (said?.version !== 1) return undefined;
  const { sealFor, addresses } = said;
  const optional = ['certificate', 'certificateRequest', 'serverCertificate', 'serverRequest'];
  const isWhole =
    isText(sealFor) &&
    Array.isArray(addresses) &&
    addresses.length <= ADDRESSES_MAX &&
    addresses.every(isText) &&
    optional.every((name) => said[name] === undefined || isText(said[name]));
  return isWhole ? (said as unknown as RenewalRequest) : undefined;
}

/** The answer in a message; undefined for what is none. */
export function parseRenewalAnswer(bytes: Uint8Array): RenewalAnswer | undefined {
  const said = parseObject(bytes);
  if (said?.kind === 'renewed' && typeof said.sealed === 'string')
    return { kind: 'renewed', sealed: said.sealed };
  const why = REFUSALS.find((one) => one === said?.why);
  return said?.kind === 'refused' && why !== undefined ? { kind: 'refused', why } : undefined;
}

/**
 * What a box holds that was opened with the key of the question; undefined: it did not open. Throws a sentence, which quotes
 * nothing of what stands in it.
 */
export function renewalIn(box: ReadonlyMap<string, Uint8Array> | undefined): Renewal {
  const text = box?.get(RENEWAL_ENTRY);
  if (text === undefined) throw new Error('the answer is not for this member');
  const said = parseObject(text);
  if (said === undefined) throw new Error('the answer holds no renewal');
  return said as unknown as Renewal;
}

const REFUSALS = ['malformed', 'not-a-member', 'expired', 'unavailable'] as const;

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
