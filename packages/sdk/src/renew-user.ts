import { createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import {
  isDue,
  isOfMember,
  type MeshFolder,
  newRequest,
  parseRenewalAnswer,
  RENEWAL,
  renewalIn,
} from '@podmesh/authority';
import { peerId } from '@podmesh/core';
import { openBox, publicKeyText } from '@podmesh/jetstream';

export interface RenewUserParts {
  readonly folder: MeshFolder;
  /** Own name. */
  readonly self: string;
  readonly ask: (request: Uint8Array) => Promise<Uint8Array>;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/**
 * Gets a person's next certificate where less than a third of its life is left; whether there is another. A home with a daemon
 * leaves that to it. Throws where nobody answers: the machine with the keys may be off, and months are left.
 */
export async function renewUser({ folder, self, ask, now }: RenewUserParts): Promise<boolean> {
  const own = await folder.certificates();
  if (own?.certificate === undefined || !isDue(own.certificate, own.ca, now())) return false;
  for (const role of ['peer', 'anchor'] as const)
    if ((await folder.credentials(role)) !== undefined) return false;
  const once = generateKeyPairSync('x25519').privateKey;
  const next = await newRequest(self);
  const request = {
    version: 1,
    sealFor: publicKeyText(once),
    addresses: [],
    certificate: own.certificate,
    certificateRequest: next.request,
  };
  const answer = parseRenewalAnswer(await ask(Buffer.from(JSON.stringify(request))));
  if (answer?.kind !== 'renewed') return false;
  const box = openBox(answer.sealed, once, { run: RENEWAL, peer: peerId(self) });
  const { certificate } = renewalIn(box);
  if (certificate === undefined || !isMine(certificate, next.key, self, own.ca)) return false;
  await folder.setCertificates({ ca: own.ca, certificate, key: next.key });
  return true;
}

function isMine(certificate: string, key: string, self: string, ca: string): boolean {
  if (!isOfMember(certificate, self, ca)) return false;
  return new X509Certificate(certificate).publicKey.equals(createPublicKey(key));
}
