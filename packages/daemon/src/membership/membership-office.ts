import {
  type Authority,
  type CertificateAuthority,
  guestName,
  type Invitation,
  type InvitationWish,
  invitationState,
  isInvitationId,
  isReservedName,
  joinLineText,
  newInvitation,
  newInvitationSecret,
  type TaskSigning,
} from '@podmesh/authority';
import { type MemberRecord, revokedRecord } from '@podmesh/core';
import type { JetStreamRecords } from '@podmesh/jetstream';
import { ApiRefusal } from '../local-api-request.ts';

export interface MembershipOfficeParts {
  readonly authority: Authority;
  readonly certificates: CertificateAuthority;
  readonly invitations: Pick<JetStreamRecords<Invitation>, 'find' | 'write' | 'list'>;
  readonly members: Pick<JetStreamRecords<MemberRecord>, 'find' | 'write' | 'list'>;
  /** `host:port` where other machines reach the mesh; empty where none can. */
  readonly servers: () => Promise<readonly string[]>;
  /** Makes every server of the mesh know who was revoked. */
  readonly pushTrust: () => Promise<void>;
  /** There is another key that signs for tasks, for this machine as well; the other peers ask for it. */
  readonly onTaskSigning: (signing: TaskSigning) => Promise<void>;
  /** The name of this machine itself, which is not revoked by accident. */
  readonly self: string;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export interface WishToInvite extends InvitationWish {
  /** Where the guests find the mesh; undefined: where it listens. */
  readonly servers?: readonly string[];
}

/** An invitation as its owner sees it: never with the line, which nobody keeps. */
export interface ShownInvitation extends Omit<Invitation, 'secretHash'> {
  readonly state: ReturnType<typeof invitationState>;
}

/** What was taken back, and how. */
export interface Revoked {
  readonly kind: 'member' | 'invitation';
  readonly name: string;
  /** Credentials of tasks are signed with another key from now on; absent: nobody was revoked who had the old one. */
  readonly newTaskKey?: true;
}

/** Writers that may be faster than we. */
const TRIES_MAX = 100;

/** What the owner of the keys does about who is in the mesh. Refusals are `ApiRefusal`s: what happened, and what to do. */
export class MembershipOffice {
  readonly #parts: MembershipOfficeParts;

  constructor(parts: MembershipOfficeParts) {
    this.#parts = parts;
  }

  /** The line that invites; it is written down before it is told. */
  async invite(wish: WishToInvite): Promise<{ line: string; invitation: ShownInvitation }> {
    const { certificates, invitations, now } = this.#parts;
    const servers = wish.servers ?? (await this.#parts.servers());
    if (servers.length === 0) throw loopbackOnly();
    if (wish.name !== undefined) await this.#refuseName(wish.name);
    const secret = newInvitationSecret();
    const invitation = newInvitation(secret, wish, now());
    if (!(await invitations.write(invitation.id, invitation, 0)))
      throw new ApiRefusal(409, 'the number of the invitation is taken', 'Ask for another one.');
    const { fingerprint, joinerSecret } = certificates;
    const line = joinLineText({ servers, fingerprint, joinerSecret, invitationSecret: secret });
    return { line, invitation: this.#shown(invitation) };
  }

  /** The newest first. */
  async listInvitations(): Promise<readonly ShownInvitation[]> {
    const all = await this.#parts.invitations.list();
    return [...all].sort((a, b) => b.madeAtMs - a.madeAtMs).map((one) => this.#shown(one));
  }

  /** A member's name, or an invitation's. */
  async revoke(name: string): Promise<Revoked> {
    return isInvitationId(name) ? this.#revokeInvitation(name) : this.#revokeMember(name);
  }

  async #revokeInvitation(id: string): Promise<Revoked> {
    const { invitations, now } = this.#parts;
    for (let tries = 0; tries < TRIES_MAX; tries += 1) {
      const found = await invitations.find(id);
      if (found === undefined) {
        const advice = 'Those that there are: podmesh invites';
        throw new ApiRefusal(404, `there is no invitation ${id}`, advice);
      }
      const revoked = { ...found.value, revokedAtMs: found.value.revokedAtMs ?? now() };
      if (await invitations.write(id, revoked, found.revision))
        return { kind: 'invitation', name: id };
    }
    throw new Error(`invitation ${id} changes faster than it can be revoked`);
  }

  /** The keys first: what is in the list of members is only for people and for transfers. */
  async #revokeMember(name: string): Promise<Revoked> {
    const { authority, pushTrust, self, now } = this.#parts;
    if (name === self) {
      const advice = 'It holds the keys of the mesh. To end the mesh here: podmesh down';
      throw new ApiRefusal(409, `${name} is this machine itself`, advice);
    }
    const keys = isReservedName(name) ? [] : await authority.revoke(name);
    const record = await this.#parts.members.find(name);
    if (keys.length === 0 && record === undefined) {
      const advice = 'Those that there are: podmesh members. Invitations: podmesh invites';
      throw new ApiRefusal(404, `the mesh has no member ${name}`, advice);
    }
    // Whoever ran tasks could sign for any: from here on servers know another key, and peers get it as they hear of this.
    // Asked of all its keys, so that a revocation that was cut short is finished by repeating it.
    const couldSign = (await authority.members()).some(
      (member) => member.name === name && (member.role === 'peer' || member.role === 'anchor'),
    );
    const signing = couldSign ? await authority.renewTaskSigning() : undefined;
    await pushTrust();
    if (signing !== undefined) await this.#parts.onTaskSigning(signing);
    await this.#change(name, (known) => revokedRecord(known, now()));
    return { kind: 'member', name, ...(signing === undefined ? {} : { newTaskKey: true }) };
  }

  async #change(name: string, change: (known: MemberRecord) => MemberRecord): Promise<void> {
    const { members } = this.#parts;
    for (let tries = 0; tries < TRIES_MAX; tries += 1) {
      const found = await members.find(name);
      if (found === undefined) return;
      if (await members.write(name, change(found.value), found.revision)) return;
    }
    throw new Error(`the record of ${name} changes faster than it can be written`);
  }

  async #refuseName(name: string): Promise<void> {
    try {
      guestName(name);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      throw new ApiRefusal(400, message, 'Give another --name.');
    }
    const members = await this.#parts.members.list();
    const same = members.find((one) => one.name.toLowerCase() === name.toLowerCase());
    if (same === undefined || same.revokedAtMs !== undefined) return;
    const advice = `Give another --name, or first: podmesh revoke ${same.name}`;
    throw new ApiRefusal(409, `the mesh has a member ${same.name}`, advice);
  }

  #shown({ secretHash: _, ...invitation }: Invitation): ShownInvitation {
    const state = invitationState({ ...invitation, secretHash: '' }, this.#parts.now());
    return { ...invitation, state };
  }
}

function loopbackOnly(): ApiRefusal {
  return new ApiRefusal(
    409,
    'no other machine can reach this mesh: its server listens on this machine only',
    'Open it to others (with TLS and keys, nothing else is let in): podmesh down; podmesh up --detach --listen 0.0.0.0',
  );
}
