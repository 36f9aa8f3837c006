import {
  createCipheriv,
  createDecipheriv,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import type { PeerId, RunId, SecretValues } from '@podmesh/core';

/** For which run and peer a box is: one that was moved elsewhere does not open. */
export interface BoxAddress {
  readonly run: RunId;
  readonly peer: PeerId;
}

const PURPOSE = 'podmesh sealed secrets 1';
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** A public key as it stands in the directory of peers: X25519, base64url. */
export function publicKeyText(key: KeyObject): string {
  const { x } = createPublicKey(key).export({ format: 'jwk' });
  if (x === undefined) throw new TypeError('not an X25519 key');
  return x;
}

/**
 * Values that only the holder of the key can read: X25519 with a key made for this box alone, HKDF-SHA-256 (RFC 5869)
 * and AES-256-GCM, bound to run and peer. Throws for what is no public key.
 */
export function sealBox(values: SecretValues, publicKey: string, address: BoxAddress): string {
  const theirs = createPublicKey({
    key: { kty: 'OKP', crv: 'X25519', x: publicKey },
    format: 'jwk',
  });
  const once = generateKeyPairSync('x25519');
  const ours = publicKeyText(once.privateKey);
  const key = keyOf(once.privateKey, theirs, [ours, publicKey]);
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  cipher.setAAD(Buffer.from(`${PURPOSE} ${address.run} ${address.peer}`));
  const plain = JSON.stringify([...values].map(([name, value]) => [name, base64(value)]));
  const sealed = Buffer.concat([cipher.update(plain, 'utf8'), cipher.final()]);
  const bytes = Buffer.concat([nonce, cipher.getAuthTag(), sealed]);
  return JSON.stringify({ podmeshBox: 1, key: ours, sealed: bytes.toString('base64') });
}

/** The values in a box; undefined when it is for somebody else, or was tampered with. */
export function openBox(
  box: string,
  privateKey: KeyObject,
  address: BoxAddress,
): SecretValues | undefined {
  try {
    const { key: theirs, sealed }: Readonly<Record<string, unknown>> = Object(JSON.parse(box));
    const key = createPublicKey({
      key: { kty: 'OKP', crv: 'X25519', x: String(theirs) },
      format: 'jwk',
    });
    const bytes = Buffer.from(String(sealed), 'base64');
    const shared = keyOf(privateKey, key, [String(theirs), publicKeyText(privateKey)]);
    const opened = createDecipheriv('aes-256-gcm', shared, bytes.subarray(0, NONCE_BYTES));
    opened.setAAD(Buffer.from(`${PURPOSE} ${address.run} ${address.peer}`));
    opened.setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
    const plain = Buffer.concat([
      opened.update(bytes.subarray(NONCE_BYTES + TAG_BYTES)),
      opened.final(),
    ]);
    const entries: readonly (readonly [string, string])[] = JSON.parse(plain.toString('utf8'));
    return new Map(entries.map(([name, value]) => [name, Buffer.from(value, 'base64')]));
  } catch {
    return undefined;
  }
}

function keyOf(own: KeyObject, other: KeyObject, keys: readonly string[]): Buffer {
  const shared = diffieHellman({ privateKey: own, publicKey: other });
  const salt = Buffer.from(keys.join('.'));
  return Buffer.from(hkdfSync('sha256', shared, salt, PURPOSE, KEY_BYTES));
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
