import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import {
  type Authority,
  type CertificateAuthority,
  endOf,
  isDue,
  isOfMember,
  parseRenewalRequest,
  RENEWAL,
  RENEWAL_ENTRY,
  type Renewal,
  type RenewalAnswer,
  type RenewalRefusalKind,
  type RenewalRequest,
  serverSubject,
} from '@podmesh/authority';
import { type MemberRole, peerId } from '@podmesh/core';
import { type RenewalAsker, sealBox } from '@podmesh/jetstream';
import type { Logger } from 'pino';
import { enterMember, type MemberRecords } from './enter-member.ts';

export interface RenewalDeskParts {
  readonly authority: Authority;
  readonly certificates: CertificateAuthority;
  readonly members: MemberRecords;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly logger: Logger;
}

/** A member whose answer was lost asks again: two months are left by then. */
const RENEWED_APART_MS = 24 * 60 * 60_000;

/**
 * Gives members what they have as such anew: peers the key that signs for tasks, which changes when somebody is revoked, and all
 * certificates that are about to end. Runs where the keys of the mesh are. Who asks is what the server says; nobody who was
 * revoked gets that far, and it is looked at again here. Machines have credentials of a user of their name, which get nothing
 * here: a machine asks as one, and a copy of those credentials must not become it.
 */
export class RenewalDesk {
  readonly #parts: RenewalDeskParts;

  constructor(parts: RenewalDeskParts) {
    this.#parts = parts;
  }

  /** The answer to the bytes of a request, whatever they are. Never throws. */
  async answer(asker: RenewalAsker, bytes: Uint8Array): Promise<Uint8Array> {
    const { name: member } = asker;
    const said = await this.#judge(asker, bytes).catch((error: unknown): RenewalAnswer => {
      this.#parts.logger.warn({ err: error, member }, 'could not give a member what it has anew');
      return { kind: 'refused', why: 'unavailable' };
    });
    if (said.kind === 'refused')
      this.#parts.logger.info({ member, why: said.why }, 'refused to renew what a member has');
    return Buffer.from(JSON.stringify(said));
  }

  async #judge({ kind, name: member }: RenewalAsker, bytes: Uint8Array): Promise<RenewalAnswer> {
    const request = parseRenewalRequest(bytes);
    if (request === undefined) return refusal('malformed');
    const role = await this.#roleOf(member);
    const isOfKind = (role === 'user') === (kind === 'user');
    if (role === undefined || !isOfKind) return refusal('not-a-member');
    const { certificates, members, now, authority, logger } = this.#parts;
    const shown = this.#shown(member, request.certificate);
    const isExpired = shown !== undefined && (endOf(shown) ?? 0) < now();
    if (isExpired) return refusal('expired');
    const entry = { name: member, role, sinceMs: now() };
    if (!(await enterMember(members, entry, shown))) return refusal('not-a-member');
    const addresses = request.addresses.filter((address) => isIP(address) !== 0);
    const certificate = await this.#renewed(member, request, { shown, addresses });
    const renewed = { ...entry, renewedAtMs: now() };
    if (certificate !== undefined && !(await enterMember(members, renewed, certificate)))
      return refusal('not-a-member');
    const serverCertificate =
      role === 'anchor' ? await this.#renewedServer(member, request, addresses) : undefined;
    if (certificate !== undefined) logger.info({ member }, 'renewed the certificate of a member');
    const renewal: Renewal = {
      ...(role === 'user' ? {} : { taskSigning: authority.taskSigning }),
      ca: certificates.certificate,
      ...(certificate === undefined ? {} : { certificate }),
      ...(serverCertificate === undefined ? {} : { serverCertificate }),
    };
    const values = new Map([[RENEWAL_ENTRY, Buffer.from(JSON.stringify(renewal))]]);
    const place = { run: RENEWAL, peer: peerId(member) };
    try {
      return { kind: 'renewed', sealed: sealBox(values, request.sealFor, place) };
    } catch {
      // What it should be sealed for is no key.
      return refusal('malformed');
    }
  }

  /** The one that may do most; undefined of who is in no more. */
  async #roleOf(name: string): Promise<MemberRole | undefined> {
    const all = await this.#parts.authority.members();
    const good = all.filter((one) => one.name === name && one.revokedAtMs === undefined);
    return (['anchor', 'peer', 'user'] as const).find((role) =>
      good.some((one) => one.role === role),
    );
  }

  /** What somebody shows who cannot have it is as if nothing was shown. */
  #shown(member: string, certificate: string | undefined): string | undefined {
    const ca = this.#parts.certificates.certificate;
    if (certificate === undefined || !isOfMember(certificate, member, ca)) return undefined;
    return certificate;
  }

  /** Only when it is due, and once a day: a certificate that is due stays so, and its member may ask all the time. */
  async #renewed(
    name: string,
    { certificateRequest: request }: RenewalRequest,
    { shown, addresses }: { shown: string | undefined; addresses: readonly string[] },
  ): Promise<string | undefined> {
    const { certificates, now } = this.#parts;
    if (request === undefined || shown === undefined) return undefined;
    if (!isDue(shown, certificates.certificate, now())) return undefined;
    const lastMs = (await this.#parts.members.find(name))?.value.renewedAtMs ?? 0;
    if (Math.abs(now() - lastMs) < RENEWED_APART_MS) return undefined;
    return certificates.signMember({ name, request, addresses });
  }

  async #renewedServer(
    name: string,
    { serverCertificate, serverRequest: request }: RenewalRequest,
    addresses: readonly string[],
  ): Promise<string | undefined> {
    const { certificates, now } = this.#parts;
    const known = serverCertificate;
    if (request === undefined || known === undefined) return undefined;
    const ca = certificates.certificate;
    // Whoever shows none might be anybody with a copy of the credentials.
    const isGood = isOfMember(known, serverSubject(name), ca) && (endOf(known) ?? 0) >= now();
    if (!isGood || !isDue(known, ca, now())) return undefined;
    // Servers know each other by the addresses in it, which this machine may not know as its own.
    const all = new Set([...addressesIn(known), ...addresses]);
    return certificates.signServer({ name, request, addresses: [...all] });
  }
}

function addressesIn(pem: string): readonly string[] {
  try {
    const names = new X509Certificate(pem).subjectAltName?.split(', ') ?? [];
    const prefix = 'IP Address:';
    return names.filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length));
  } catch {
    return [];
  }
}

const refusal = (why: RenewalRefusalKind): RenewalAnswer => ({ kind: 'refused', why });
