import { credentialsText, isOfSystem, openCredentials, signUser } from './credentials.ts';
import { type KeyRing, openKeyRing, readKeyRing, withNewTaskSigner } from './key-ring.ts';
import { type Member, MemberBook } from './member-book.ts';
import { isUserKey, NatsKey } from './nats-key.ts';
import { memberName, type PermissionsOfRoles, type Role } from './role.ts';
import { type ServerTrust, signServerTrust } from './server-trust.ts';

export interface AuthorityOptions {
  /** `PODMESH_HOME/authority`. */
  readonly directory: string;
  readonly permissions: PermissionsOfRoles;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export interface Wish {
  readonly role: Exclude<Role, 'task'>;
  readonly name: string;
  /** Milliseconds since 1970; without end where absent. */
  readonly expiresAtMs?: number;
}

/** Made by whoever keeps the key of the new member, on another machine: only the token travels. */
export interface WishWithKey extends Wish {
  readonly publicKey: string;
}

/** What a peer needs to make credentials for tasks; a secret. */
export interface TaskSigning {
  /** Public key of the account of the mesh. */
  readonly account: string;
  readonly seed: string;
}

/**
 * The authority of a mesh, on the machine that made it: gives credentials, keeps the book of them, and takes them
 * back. What it decides holds once a server has the trust that it signs.
 */
export class Authority {
  #ring: KeyRing;
  readonly #book: MemberBook;
  readonly #options: AuthorityOptions;

  private constructor(ring: KeyRing, options: AuthorityOptions) {
    this.#ring = ring;
    this.#options = options;
    this.#book = new MemberBook(options.directory);
  }

  /** That of the folder, made with this name of a mesh when there is none. */
  static async make(mesh: string, options: AuthorityOptions): Promise<Authority> {
    return Authority.#over(await openKeyRing(options.directory, mesh), options);
  }

  /** That of the folder; undefined on machines that did not make the mesh. */
  static async open(options: AuthorityOptions): Promise<Authority | undefined> {
    const ring = await readKeyRing(options.directory);
    return ring === undefined ? undefined : Authority.#over(ring, options);
  }

  static async #over(ring: KeyRing, options: AuthorityOptions): Promise<Authority> {
    const authority = new Authority(ring, options);
    await authority.#book.prepare();
    return authority;
  }

  get mesh(): string {
    return this.#ring.mesh;
  }

  get taskSigning(): TaskSigning {
    const { account, signers } = this.#ring;
    return { account: account.publicText, seed: signers.task.seedText };
  }

  /** Credentials with a new key. Throws a `TypeError` for what is no name. */
  async mint(wish: Wish): Promise<string> {
    const key = NatsKey.create('user');
    return credentialsText(await this.sign({ ...wish, publicKey: key.publicText }), key);
  }

  /**
   * The token for a key that stays where it was made. The same key for the same name and role gets one again,
   * never after it was revoked. Throws a `TypeError` that says what is wrong with the wish.
   */
  async sign({ role, name, publicKey, expiresAtMs }: WishWithKey): Promise<string> {
    if (!isUserKey(publicKey)) throw new TypeError('not the public key of a member');
    const life = expiresAtMs === undefined ? {} : { expiresAtMs };
    await this.#book.add({
      name: memberName(name),
      role,
      publicKey,
      issuedAtMs: this.#options.now(),
      ...life,
    });
    const member = (await this.members()).find((one) => one.publicKey === publicKey);
    if (member?.revokedAtMs !== undefined)
      throw new TypeError(`the key of ${name} was revoked; it needs a new one`);
    const { account, system, signers } = this.#ring;
    const owner = isOfSystem(role) ? system : account;
    const identity = { name, publicKey, ...life };
    return signUser(identity, { account: owner.publicText, signer: signers[role] });
  }

  /** Everybody who ever got credentials, but tasks. */
  members(): Promise<readonly Member[]> {
    return this.#book.all();
  }

  /** Whether the credentials are of a member that was not revoked, and not expired. */
  async isGood(credentials: string): Promise<boolean> {
    try {
      const { key, expiresAtMs = Number.POSITIVE_INFINITY } = openCredentials(credentials);
      const member = (await this.members()).find(({ publicKey }) => publicKey === key.publicText);
      return (
        member !== undefined &&
        member.revokedAtMs === undefined &&
        expiresAtMs > this.#options.now()
      );
    } catch (error) {
      if (error instanceof TypeError) return false;
      throw error;
    }
  }

  /**
   * Revokes every key of that name (of one role, if it is given), and says whose they were; empty when there were none
   * that were still good. It takes effect when the servers get the new trust (`ClaimsPusher` in jetstream).
   */
  async revoke(name: string, role?: Role): Promise<readonly Member[]> {
    const good = (await this.members()).filter(
      (member) =>
        member.name === name &&
        member.revokedAtMs === undefined &&
        (role === undefined || member.role === role),
    );
    for (const { publicKey } of good) await this.#book.revoke(publicKey, this.#options.now());
    return good;
  }

  /**
   * A new key that signs for tasks: whoever had the one before, and is in no more, can make no credentials of tasks. It holds
   * with the next trust that servers get; all peers need it from then on.
   */
  async renewTaskSigning(): Promise<TaskSigning> {
    this.#ring = await withNewTaskSigner(this.#options.directory, this.#ring);
    return this.taskSigning;
  }

  /** For servers, as of now. */
  async serverTrust(): Promise<ServerTrust> {
    return signServerTrust(this.#ring, this.#options.permissions, await this.members());
  }
}
