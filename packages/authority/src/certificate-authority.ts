import { createHash, createHmac, X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import type { CertificateWithKey } from './make-certificates.ts';
import { createPrivately, privateFolder, readIfThere } from './private-files.ts';
import { memberName } from './role.ts';

/** What clients of a server expect in its certificate, whatever its addresses are today. No member can have it. */
export const SERVER_NAME = 'server.podmesh';
/** What others expect in a peer's certificate, beside the name itself as the common name. */
export const peerHostName = (name: string): string => `${name}.peer.podmesh`;

/** Each number fits 31 bits: Go, in which nats-server is written, reads no other certificate. The public half of a joiner's credentials stands in the CA's certificate, so that an invitation can be short. */
const JOINER_NOTE = '2.25.1219104885';
const FILE = 'ca.pem';
const CA_DAYS = 7_300;
/** Renewed over the member's own connection from two thirds on; a machine that is away for longer joins again. */
export const MEMBER_DAYS = 180;
/** Renewed where the key of the authority is at hand, at every start and once a day; of other anchors as their own certificates. */
const SERVER_DAYS = 397;
const DAY_MS = 24 * 60 * 60_000;
const FINGERPRINT_BYTES = 16;
export const JOINER_SECRET_BYTES = 8;
const ADDRESSES_MAX = 32;

export interface MemberRequest {
  readonly name: string;
  /** PEM, signed with the key that stays with the member. */
  readonly request: string;
  readonly addresses: readonly string[];
}

/** The mesh's own authority for certificates; its key is as secret as the key ring beside it. */
export class CertificateAuthority {
  readonly #pair: CertificateWithKey;
  readonly #now: () => number;

  private constructor(pair: CertificateWithKey, now: () => number) {
    this.#pair = pair;
    this.#now = now;
  }

  /** That of the folder; undefined where there is none. Throws an `Error` that names the file when it is damaged. */
  static async open(
    directory: string,
    now: () => number,
  ): Promise<CertificateAuthority | undefined> {
    const path = join(directory, FILE);
    const text = await readIfThere(path);
    if (text === undefined) return undefined;
    const [certificate, key] = text.match(/-----BEGIN [^-]+-----[^-]+-----END [^-]+-----/g) ?? [];
    if (certificate === undefined || key?.includes('PRIVATE KEY') !== true)
      throw new Error(`${path} is damaged; put it back from a copy`);
    return new CertificateAuthority({ certificate, key }, now);
  }

  /** That of the folder, made when there is none. Of two that make it at once, both get the same. */
  static async make(
    directory: string,
    mesh: string,
    now: () => number,
    /** Makes the token that lets the holder of this secret ask to join; called only for a new authority. */
    joinerToken: (secret: Buffer) => Promise<string>,
  ): Promise<CertificateAuthority> {
    const known = await CertificateAuthority.open(directory, now);
    if (known !== undefined) return known;
    const { makeCa, newKeyText } = await import('./make-certificates.ts');
    const key = await newKeyText();
    const token = await joinerToken(joinerSecretOf(key));
    const certificate = await makeCa(
      { mesh: memberName(mesh), nowMs: now(), days: CA_DAYS, notes: { [JOINER_NOTE]: token } },
      key,
    );
    await privateFolder(directory);
    await createPrivately(join(directory, FILE), `${certificate}\n${key}\n`);
    const made = await CertificateAuthority.open(directory, now);
    if (made === undefined) throw new Error(`${join(directory, FILE)} vanished while it was made`);
    return made;
  }

  /** PEM. */
  get certificate(): string {
    return this.#pair.certificate;
  }

  get fingerprint(): Buffer {
    return fingerprintOf(this.certificate);
  }

  /** Stands in every invitation: whoever has it may ask to join, and nothing else. */
  get joinerSecret(): Buffer {
    return joinerSecretOf(this.#pair.key);
  }

  /** Throws a `TypeError` for what is no name, or no request. */
  async signMember({ name, request, addresses }: MemberRequest): Promise<string> {
    const { signRequest } = await import('./make-certificates.ts');
    const wish = {
      name: memberName(name),
      dnsNames: [peerHostName(name)],
      addresses: addresses.slice(0, ADDRESSES_MAX),
      nowMs: this.#now(),
      days: MEMBER_DAYS,
    };
    return signRequest(this.#pair, request, wish);
  }

  /** For a nats-server of the mesh: the certificate, and that of the authority behind it. */
  async signServer({ name, request, addresses }: MemberRequest): Promise<string> {
    const { signRequest } = await import('./make-certificates.ts');
    const wish = {
      name: serverSubject(memberName(name)),
      dnsNames: [SERVER_NAME, 'localhost'],
      addresses: addresses.slice(0, ADDRESSES_MAX),
      nowMs: this.#now(),
      days: SERVER_DAYS,
    };
    return `${await signRequest(this.#pair, request, wish)}\n${this.certificate}\n`;
  }
}

/** Common name in the certificate of that member's server. */
export const serverSubject = (name: string): string => `server ${name}`.slice(0, 64);

/** Which authority it is: of its key, so that a renewed certificate has the same. */
export function fingerprintOf(certificate: string): Buffer {
  const { publicKey } = new X509Certificate(certificate);
  const key = publicKey.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(key).digest().subarray(0, FINGERPRINT_BYTES);
}

/** Whether less than a third of its life is left, or it is not signed by this authority. */
export function isDue(certificate: string, ca: string, nowMs: number): boolean {
  const leaf = new X509Certificate(certificate);
  const [from, to] = [Date.parse(leaf.validFrom), Date.parse(leaf.validTo)];
  const authority = new X509Certificate(ca);
  return nowMs > to - (to - from) / 3 || !leaf.verify(authority.publicKey);
}

/** Whether the authority has signed this certificate, for a common name of just that. */
export function isOfMember(certificate: string, name: string, ca: string): boolean {
  try {
    const leaf = new X509Certificate(certificate);
    const isNamed = leaf.subject.split('\n').includes(`CN=${name}`);
    return isNamed && leaf.verify(new X509Certificate(ca).publicKey);
  } catch {
    return false;
  }
}

/** When a certificate ends, milliseconds since 1970; undefined for what is none. */
export function endOf(certificate: string): number | undefined {
  try {
    return Date.parse(new X509Certificate(certificate).validTo);
  } catch {
    return undefined;
  }
}

/** In words for people: how long a certificate is still good. */
export function daysLeft(certificate: string, nowMs: number): number {
  return Math.floor((Date.parse(new X509Certificate(certificate).validTo) - nowMs) / DAY_MS);
}

/** The token that the CA's certificate holds; undefined in what is no certificate of a podmesh authority. */
export async function joinerTokenIn(certificate: string): Promise<string | undefined> {
  const { readNote } = await import('./make-certificates.ts');
  return readNote(certificate, JOINER_NOTE);
}

function joinerSecretOf(key: string): Buffer {
  const secret = createHmac('sha256', key.trim()).update('podmesh joiner 1').digest();
  return secret.subarray(0, JOINER_SECRET_BYTES);
}

/** Whether it is a request for a certificate, signed with its own key. */
export async function isRequest(text: string): Promise<boolean> {
  const certificates = await import('./make-certificates.ts');
  return certificates.isRequest(text);
}

/** A request for a certificate, and the key that stays here; both PEM. */
export async function newRequest(name: string): Promise<{ request: string; key: string }> {
  const { makeRequest } = await import('./make-certificates.ts');
  return makeRequest(name);
}
