import { isIP } from 'node:net';
import {
  type Authority,
  type CertificateAuthority,
  guestName,
  type Invitation,
  invitationIdOf,
  isRequest,
  isUserKey,
  type JoinAnswer,
  type JoinRefusalKind,
  type JoinRequest,
  parseJoinRequest,
  sealWelcome,
  useInvitation,
  type Welcome,
} from '@podmesh/authority';
import { type MemberRecord, ok, type Result, refused } from '@podmesh/core';
import type { JetStreamRecords } from '@podmesh/jetstream';
import type { Logger } from 'pino';
import { enterMember, type MemberRecords } from './enter-member.ts';

export interface JoinDeskParts {
  readonly authority: Authority;
  readonly certificates: CertificateAuthority;
  readonly invitations: Pick<JetStreamRecords<Invitation>, 'find' | 'write'>;
  readonly members: MemberRecords & Pick<JetStreamRecords<MemberRecord>, 'list'>;
  /** `host:port` of the mesh's servers, as other machines reach them. */
  readonly servers: () => Promise<readonly string[]>;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly logger: Logger;
}

/** Writers that may be faster than we, one after the other, before something else is wrong. */
const TRIES_MAX = 100;
/** Requests with one line that are no such thing; then the daemon has to be started again. */
const MALFORMED_MAX = 50;
const MALFORMED_REMEMBERED_MAX = 1_000;
/** Machines of one host name. */
const NAMES_TRIED_MAX = 1_000;

/** Lets in who was invited. Runs where the keys of the mesh are; what it lets in, it has written down before. */
export class JoinDesk {
  readonly #parts: JoinDeskParts;
  /** Malformed requests by the invitation that they named, whether there is one or not. */
  readonly #malformed = new Map<string, number>();

  constructor(parts: JoinDeskParts) {
    this.#parts = parts;
  }

  /** The answer to the bytes of a request, whatever they are. Never throws. */
  async answer(bytes: Uint8Array): Promise<Uint8Array> {
    const { logger } = this.#parts;
    let said: JoinAnswer;
    try {
      said = await this.#judge(bytes);
    } catch (error) {
      logger.warn({ err: error }, 'could not answer somebody who wants to join');
      const message =
        'the machine that holds the keys of the mesh could not do it; its log says why';
      said = { kind: 'refused', why: 'unavailable', message };
    }
    if (said.kind === 'refused')
      logger.info({ why: said.why }, 'refused somebody who wants to join');
    return Buffer.from(JSON.stringify(said));
  }

  async #judge(bytes: Uint8Array): Promise<JoinAnswer> {
    const request = parseJoinRequest(bytes);
    if (request === 'other-version') return refusal('other-version');
    if (request === undefined) return refusal('malformed');
    const secret = Buffer.from(request.secret, 'base64url');
    const id = invitationIdOf(secret);
    if ((this.#malformed.get(id) ?? 0) >= MALFORMED_MAX) return refusal('malformed');
    // What could not be let in anyway uses nothing up, or one slip of the sender would cost its line.
    if (!(await this.#isWhole(request))) {
      this.#noteMalformed(id);
      return refusal('malformed');
    }
    const used = await this.#use(secret, request);
    if (!used.ok) return refusal(used.error);
    const { name, role } = used.value;
    const welcome = await this.#welcome(request, name, role);
    if (!welcome.ok) return refusal(welcome.error);
    this.#parts.logger.info({ member: name, role }, 'let a new member in');
    return { kind: 'welcome', sealed: sealWelcome(welcome.value, request) };
  }

  async #isWhole({ keys, certificateRequest, serverRequest }: JoinRequest): Promise<boolean> {
    if (!Object.values(keys).every(isUserKey)) return false;
    return (await isRequest(certificateRequest)) && (await isRequest(serverRequest));
  }

  /** Looking at a request costs more than sending one: who sends nothing but nonsense is not looked at any more. */
  #noteMalformed(id: string): void {
    const before = this.#malformed.get(id) ?? 0;
    this.#malformed.delete(id);
    this.#malformed.set(id, before + 1);
    const [oldest] = this.#malformed.keys();
    if (this.#malformed.size > MALFORMED_REMEMBERED_MAX && oldest !== undefined)
      this.#malformed.delete(oldest);
  }

  /** Counts exactly, also when several come at once: the mesh takes one change of a record at a time. */
  async #use(
    secret: Buffer,
    request: JoinRequest,
  ): Promise<Result<Pick<Welcome, 'name' | 'role'>, JoinRefusalKind>> {
    const { invitations, now } = this.#parts;
    const publicKey = request.keys.user;
    for (let tries = 0; tries < TRIES_MAX; tries += 1) {
      const found = await invitations.find(invitationIdOf(secret));
      if (found === undefined) return refused('unknown');
      const invitation = found.value;
      const known = invitation.guests.find((guest) => guest.publicKey === publicKey)?.name;
      const name = known ?? (await this.#nameFor(request, invitation));
      const used = useInvitation(invitation, { secret, name, publicKey }, now());
      if (!used.ok) return used;
      if (known === undefined) {
        const problem = nameProblem(name, await this.#takenNames());
        if (problem !== undefined) return refused(problem);
        if (!(await invitations.write(invitation.id, used.value, found.revision))) continue;
      }
      return ok({ name, role: invitation.role });
    }
    throw new Error('an invitation changes faster than it can be used');
  }

  async #nameFor({ name, suggestion }: JoinRequest, invitation: Invitation): Promise<string> {
    if (name !== undefined) return name;
    if (invitation.name !== undefined) return invitation.name;
    const taken = await this.#takenNames();
    const names = Array.from({ length: NAMES_TRIED_MAX }, (_, number) =>
      number === 0 ? suggestion : `${suggestion.slice(0, 60)}-${number + 1}`,
    );
    return names.find((one) => !taken.has(one.toLowerCase())) ?? suggestion;
  }

  /** Two members of one name would be one to everybody else; capitals do not tell machines apart. */
  async #takenNames(): Promise<ReadonlySet<string>> {
    const members = await this.#parts.members.list();
    const inNow = members.filter(({ revokedAtMs }) => revokedAtMs === undefined);
    return new Set(inNow.map(({ name }) => name.toLowerCase()));
  }

  async #welcome(
    request: JoinRequest,
    name: string,
    role: Invitation['role'],
  ): Promise<Result<Welcome, JoinRefusalKind>> {
    const { authority, certificates, servers } = this.#parts;
    // What is no address cannot be certified, and nobody needs it.
    const addresses = request.addresses.filter((address) => isIP(address) !== 0);
    const roles = role === 'user' ? (['user'] as const) : rolesOf(role);
    try {
      const tokens: Record<string, string> = {};
      for (const one of roles)
        tokens[one] = await authority.sign({ role: one, name, publicKey: request.keys[one] });
      const certificate = await certificates.signMember({
        name,
        request: request.certificateRequest,
        addresses,
      });
      const member = { name, role, sinceMs: this.#parts.now() };
      await enterMember(this.#parts.members, member, certificate, true);
      return ok({
        mesh: authority.mesh,
        name,
        role,
        servers: await servers(),
        tokens,
        ca: certificates.certificate,
        certificate,
        ...(role === 'user' ? {} : { taskSigning: authority.taskSigning }),
        ...(role === 'anchor'
          ? {
              serverCertificate: await certificates.signServer({
                name,
                request: request.serverRequest,
                addresses,
              }),
            }
          : {}),
      });
    } catch (error) {
      // What the authority says of a wish that cannot be: a key that is none, or was revoked.
      if (!(error instanceof TypeError)) throw error;
      this.#parts.logger.info({ err: error, member: name }, 'cannot let somebody in');
      return refused(/revoked/.test(error.message) ? 'key-revoked' : 'malformed');
    }
  }
}

function nameProblem(name: string, taken: ReadonlySet<string>): JoinRefusalKind | undefined {
  try {
    guestName(name);
  } catch {
    return 'wrong-name';
  }
  return taken.has(name.toLowerCase()) ? 'name-taken' : undefined;
}

/** A peer publishes and reads for its owner, too; an anchor is a peer that also keeps the mesh. */
function rolesOf(role: 'peer' | 'anchor') {
  return role === 'peer'
    ? (['peer', 'user'] as const)
    : (['peer', 'user', 'anchor', 'system'] as const);
}

/** Each its own sentence; what to do about it says whoever asked. */
const SENTENCES: Readonly<Record<JoinRefusalKind, string>> = {
  unknown: 'this mesh has not made such an invitation, or has forgotten it',
  expired: 'the invitation has expired',
  'used-up': 'the invitation was used as often as it can be',
  revoked: 'the invitation was revoked',
  'wrong-name': 'the invitation is for a member of another name, or the name is none',
  'name-taken': 'the mesh has a member of that name',
  'key-revoked': 'the keys that asked were revoked',
  malformed: 'the request to join is not whole',
  'other-version': 'the mesh speaks another version of joining',
  unavailable: 'the mesh cannot let anybody in now',
};

function refusal(why: JoinRefusalKind): JoinAnswer {
  return { kind: 'refused', why, message: SENTENCES[why] };
}
