import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isUserKey } from './nats-key.ts';
import { createPrivately, privateFolder, readIfThere } from './private-files.ts';
import { memberName, ROLES, type Role } from './role.ts';

/** Somebody whom the authority gave credentials. */
export interface Member {
  readonly name: string;
  readonly role: Role;
  /** Of the key that proves who it is. */
  readonly publicKey: string;
  /** Milliseconds since 1970. */
  readonly issuedAtMs: number;
  readonly expiresAtMs?: number;
  /** Since when its credentials are worth nothing. */
  readonly revokedAtMs?: number;
}

/**
 * Who got credentials and who lost them: one file each, so that a daemon and a command that write at the same time
 * take nothing from each other, and nothing that was revoked comes back.
 */
export class MemberBook {
  readonly #members: string;
  readonly #revoked: string;

  constructor(directory: string) {
    this.#members = join(directory, 'members');
    this.#revoked = join(directory, 'revoked');
  }

  async prepare(): Promise<void> {
    await privateFolder(this.#members);
    await privateFolder(this.#revoked);
  }

  /** Before its credentials leave the house: what is not in the book cannot be revoked. */
  async add(member: Member): Promise<void> {
    const { publicKey } = member;
    const isNew = await createPrivately(this.#member(publicKey), `${JSON.stringify(member)}\n`);
    if (isNew) return;
    const known = await this.#read(publicKey);
    if (known?.role === member.role && known.name === member.name) return;
    throw new TypeError(`the key ${publicKey} is already that of somebody else in this mesh`);
  }

  /** In the order in which they came. */
  async all(): Promise<readonly Member[]> {
    const names = await readdir(this.#members);
    const keys = names.map((name) => name.replace(/\.json$/, '')).filter(isUserKey);
    const members = await Promise.all(keys.map((key) => this.#read(key)));
    return members
      .filter((member) => member !== undefined)
      .sort((a, b) => a.issuedAtMs - b.issuedAtMs);
  }

  /** Once for all: a key that is revoked stays revoked. */
  async revoke(publicKey: string, atMs: number): Promise<void> {
    await createPrivately(join(this.#revoked, publicKey), `${atMs}\n`);
  }

  #member(publicKey: string): string {
    return join(this.#members, `${publicKey}.json`);
  }

  async #read(publicKey: string): Promise<Member | undefined> {
    const path = this.#member(publicKey);
    const text = await readIfThere(path);
    if (text === undefined) return undefined;
    const member = parseMember(text, path);
    const revoked = await readIfThere(join(this.#revoked, publicKey));
    // A date that cannot be read is a revocation all the same.
    return revoked === undefined ? member : { ...member, revokedAtMs: Number(revoked) || 0 };
  }
}

function parseMember(text: string, path: string): Member {
  const damaged = (): Error => new Error(`${path} is damaged; put it back from a copy`);
  let said: Partial<Member>;
  try {
    said = JSON.parse(text) as Partial<Member>;
  } catch {
    throw damaged();
  }
  const { name, publicKey, issuedAtMs, expiresAtMs } = said;
  const role = ROLES.find((one) => one === said.role);
  if (role === undefined || typeof issuedAtMs !== 'number' || typeof publicKey !== 'string')
    throw damaged();
  return {
    name: memberName(String(name)),
    role,
    publicKey,
    issuedAtMs,
    ...(typeof expiresAtMs === 'number' ? { expiresAtMs } : {}),
  };
}
