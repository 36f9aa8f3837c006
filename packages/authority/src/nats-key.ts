import {
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  randomBytes,
  sign,
  verify,
} from 'node:crypto';
import type { KeyPair } from '@nats-io/jwt';

/** Whose key it is; the first letter of its public text. */
export type KeyKind = 'operator' | 'account' | 'user';

/** The prefix bytes of nkeys (github.com/nats-io/nkeys, strkey.go). */
const PREFIX: Readonly<Record<KeyKind, number>> = { operator: 112, account: 0, user: 160 };
const SEED_PREFIX = 144;
const RAW_BYTES = 32;
/** Before the 32 bytes of an ed25519 seed in PKCS #8 (RFC 8410). */
const PKCS8_HEAD = Buffer.from('302e020100300506032b657004220420', 'hex');
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/**
 * An nkey whose signatures are made by Node's own ed25519: 0.1 ms where the library's JavaScript takes 27, so
 * that credentials for each task cost nothing that the event loop would feel. What it shows to the library is
 * the library's own interface.
 */
export class NatsKey implements KeyPair {
  readonly kind: KeyKind;
  readonly #seed: Buffer;
  readonly #private: KeyObject;
  readonly #public: KeyObject;
  readonly #publicText: string;

  private constructor(kind: KeyKind, seed: Buffer) {
    this.kind = kind;
    this.#seed = seed;
    this.#private = createPrivateKey({
      key: Buffer.concat([PKCS8_HEAD, seed]),
      format: 'der',
      type: 'pkcs8',
    });
    this.#public = createPublicKey(this.#private);
    const raw = this.#public.export({ format: 'der', type: 'spki' }).subarray(-RAW_BYTES);
    this.#publicText = checked(Buffer.from([PREFIX[kind]]), raw);
  }

  static create(kind: KeyKind): NatsKey {
    return new NatsKey(kind, randomBytes(RAW_BYTES));
  }

  /** Of 32 secret bytes. */
  static fromRaw(kind: KeyKind, raw: Buffer): NatsKey {
    return new NatsKey(kind, raw);
  }

  /** Of the text that `seedText` gave. Throws a `TypeError`, which never holds the text. */
  static fromSeed(text: string): NatsKey {
    const bytes = fromBase32(text.trim());
    const [first = 0, second = 0] = bytes;
    const body = bytes.subarray(0, -2);
    const prefix = ((first & 7) << 5) | ((second & 248) >> 3);
    const kind = (Object.keys(PREFIX) as KeyKind[]).find((one) => PREFIX[one] === prefix);
    const isWhole =
      bytes.length === RAW_BYTES + 4 && crc16(body) === bytes.readUInt16LE(RAW_BYTES + 2);
    if (!isWhole || (first & 248) !== SEED_PREFIX || kind === undefined)
      throw new TypeError('a damaged key: it is no seed of an operator, account or user');
    return new NatsKey(kind, Buffer.from(body.subarray(2)));
  }

  /** The secret as text, `S…`. */
  get seedText(): string {
    const prefix = PREFIX[this.kind];
    const head = Buffer.from([SEED_PREFIX | (prefix >> 5), (prefix & 31) << 3]);
    return checked(head, this.#seed);
  }

  get publicText(): string {
    return this.#publicText;
  }

  getPublicKey(): string {
    return this.#publicText;
  }

  getSeed(): Uint8Array {
    return new TextEncoder().encode(this.seedText);
  }

  getPrivateKey(): Uint8Array {
    return this.getSeed();
  }

  sign(input: Uint8Array): Uint8Array {
    return sign(null, input, this.#private);
  }

  verify(input: Uint8Array, signature: Uint8Array): boolean {
    return verify(null, input, this.#public, signature);
  }

  /** The interface wants it; a key is needed as long as whoever holds it. */
  clear(): void {
    this.#seed.fill(0);
  }

  seal(): Uint8Array {
    throw new TypeError('this key signs, it does not seal');
  }

  open(): Uint8Array | null {
    throw new TypeError('this key signs, it does not open');
  }
}

/** Whether the text is the public key of a user, whole and unchanged. */
export function isUserKey(text: string): boolean {
  if (!/^U[A-Z2-7]{55}$/.test(text)) return false;
  const bytes = fromBase32(text);
  return (
    bytes[0] === PREFIX.user && crc16(bytes.subarray(0, -2)) === bytes.readUInt16LE(RAW_BYTES + 1)
  );
}

function checked(head: Buffer, raw: Uint8Array): string {
  const body = Buffer.concat([head, raw]);
  const sum = Buffer.alloc(2);
  sum.writeUInt16LE(crc16(body));
  return toBase32(Buffer.concat([body, sum]));
}

/** RFC 4648 without padding. */
function toBase32(bytes: Uint8Array): string {
  let text = '';
  let bits = 0;
  let value = 0;
  for (const byte of bytes) {
    value = ((value << 8) | byte) & 0xffff;
    for (bits += 8; bits >= 5; bits -= 5) text += ALPHABET[(value >> (bits - 5)) & 31];
  }
  return bits > 0 ? text + ALPHABET[(value << (5 - bits)) & 31] : text;
}

function fromBase32(text: string): Buffer {
  const bytes: number[] = [];
  let bits = 0;
  let value = 0;
  for (const letter of text) {
    const five = ALPHABET.indexOf(letter);
    if (five < 0) throw new TypeError('a damaged key: a letter that keys do not have');
    value = ((value << 5) | five) & 0xffff;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push((value >> bits) & 255);
  }
  return Buffer.from(bytes);
}

/** CRC-16/XMODEM, the sum of nkeys. */
function crc16(bytes: Uint8Array): number {
  let sum = 0;
  for (const byte of bytes) {
    sum ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) sum = sum & 0x8000 ? (sum << 1) ^ 0x1021 : sum << 1;
    sum &= 0xffff;
  }
  return sum;
}
