// The library finds its parts through this one; nothing of ours uses it.
import 'reflect-metadata';
import { createPublicKey, randomBytes, webcrypto } from 'node:crypto';
import {
  BasicConstraintsExtension,
  cryptoProvider,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  Extension,
  type JsonGeneralName,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  Pkcs10CertificateRequest,
  Pkcs10CertificateRequestGenerator,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';

/** Slow to load (half a second), so this file is only imported by those who are just making a certificate. */
cryptoProvider.set(webcrypto);

/** Taken by Node, by Go's TLS in nats-server, and by every system of the last ten years. */
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
/** Clocks of two machines may differ by as much: a certificate is good since before it was made. */
const CLOCKS_APART_MS = 24 * 60 * 60_000;
const DAY_MS = 24 * 60 * 60_000;

/** A certificate and its secret key, both PEM. */
export interface CertificateWithKey {
  readonly certificate: string;
  readonly key: string;
}

export interface CaWish {
  readonly mesh: string;
  readonly nowMs: number;
  readonly days: number;
  /** What it says in public beside itself: text by object identifier. */
  readonly notes: Readonly<Record<string, string>>;
}

export interface LeafWish {
  /** Common name. */
  readonly name: string;
  readonly dnsNames: readonly string[];
  readonly addresses: readonly string[];
  readonly nowMs: number;
  readonly days: number;
}

/** A new secret key, PEM. */
export async function newKeyText(): Promise<string> {
  return keyText((await newKeys()).privateKey);
}

/** The certificate of an authority with that key, signed by itself; it signs members, and no other authority. */
export async function makeCa(
  { mesh, nowMs, days, notes }: CaWish,
  keyPem: string,
): Promise<string> {
  const keys = await bothHalves(keyPem);
  const usage = KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign;
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerial(),
    name: [{ CN: [`podmesh ${mesh}`] }],
    ...validity(nowMs, days),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(usage, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
      ...Object.entries(notes).map(([oid, text]) => new Extension(oid, false, Buffer.from(text))),
    ],
  });
  return certificate.toString('pem');
}

/** Text that an authority's certificate says in public; undefined where it says none, or is no certificate. */
export function readNote(certificate: string, oid: string): string | undefined {
  try {
    const note = new X509Certificate(certificate).getExtension(oid);
    return note === null ? undefined : Buffer.from(note.value).toString('utf8');
  } catch {
    return undefined;
  }
}

/** A request with a new key, which stays where it is made. */
export async function makeRequest(name: string): Promise<{ request: string; key: string }> {
  const keys = await newKeys();
  const request = await Pkcs10CertificateRequestGenerator.create({
    name: [{ CN: [name] }],
    keys,
    signingAlgorithm: ALGORITHM,
  });
  return { request: request.toString('pem'), key: await keyText(keys.privateKey) };
}

/**
 * The certificate for the key of a request: only that is taken from it, who it is for stands in the wish.
 * Throws a `TypeError` for what is no request, or not signed with the key that it names.
 */
export async function signRequest(
  ca: CertificateWithKey,
  request: string,
  wish: LeafWish,
): Promise<string> {
  const publicKey = await keyOfRequest(request);
  const issuer = new X509Certificate(ca.certificate);
  const signingKey = await importKey(ca.key);
  const names: JsonGeneralName[] = [
    ...wish.dnsNames.map((value) => ({ type: 'dns' as const, value })),
    ...wish.addresses.map((value) => ({ type: 'ip' as const, value })),
  ];
  const both = [ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth];
  const certificate = await X509CertificateGenerator.create({
    serialNumber: newSerial(),
    subject: [{ CN: [wish.name] }],
    issuer: issuer.subject,
    ...validity(wish.nowMs, wish.days),
    signingAlgorithm: ALGORITHM,
    publicKey,
    signingKey,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension(both),
      new SubjectAlternativeNameExtension(names),
    ],
  });
  return certificate.toString('pem');
}

/** Whether it is a request that can be signed. */
export async function isRequest(text: string): Promise<boolean> {
  return keyOfRequest(text).then(
    () => true,
    () => false,
  );
}

async function keyOfRequest(text: string) {
  const wrong = (): TypeError => new TypeError('not a certificate request signed with its own key');
  let request: Pkcs10CertificateRequest;
  try {
    request = new Pkcs10CertificateRequest(text);
  } catch {
    throw wrong();
  }
  const { algorithm } = request.publicKey;
  if (!('namedCurve' in algorithm) || algorithm.namedCurve !== ALGORITHM.namedCurve) throw wrong();
  if (!(await request.verify().catch(() => false))) throw wrong();
  return request.publicKey;
}

function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
}

async function bothHalves(keyPem: string): Promise<webcrypto.CryptoKeyPair> {
  const { subtle } = webcrypto;
  const publicBytes = createPublicKey(keyPem).export({ type: 'spki', format: 'der' });
  return {
    privateKey: await importKey(keyPem),
    publicKey: await subtle.importKey('spki', publicBytes, ALGORITHM, true, ['verify']),
  };
}

function importKey(keyPem: string): Promise<webcrypto.CryptoKey> {
  const bytes = PemConverter.decodeFirst(keyPem);
  return webcrypto.subtle.importKey('pkcs8', bytes, ALGORITHM, false, ['sign']);
}

async function keyText(key: webcrypto.CryptoKey): Promise<string> {
  const bytes = await webcrypto.subtle.exportKey('pkcs8', key);
  return PemConverter.encode(bytes, 'PRIVATE KEY');
}

function validity(nowMs: number, days: number) {
  return {
    notBefore: new Date(nowMs - CLOCKS_APART_MS),
    notAfter: new Date(nowMs + days * DAY_MS),
  };
}

/** Positive, whatever the first bit would say. */
function newSerial(): string {
  return `00${randomBytes(15).toString('hex')}`;
}
