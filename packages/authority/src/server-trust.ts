import { encodeAccount, encodeOperator, type OperatorLimits, type SigningKey } from '@nats-io/jwt';
import { isOfSystem } from './credentials.ts';
import type { KeyRing } from './key-ring.ts';
import type { Member } from './member-book.ts';
import { type PermissionsOfRoles, ROLES, type Role } from './role.ts';

/** All that a server must know to tell members from strangers; none of it is secret. */
export interface ServerTrust {
  readonly operator: string;
  /** Public key of the system account. */
  readonly systemAccount: string;
  /** Public key of the account of the mesh. */
  readonly account: string;
  /** Token of each account by its public key. */
  readonly accounts: Readonly<Record<string, string>>;
}

const NS_PER_MS = 1_000_000;
const UNLIMITED = {
  conn: -1,
  leaf: -1,
  subs: -1,
  imports: -1,
  exports: -1,
  data: -1,
  payload: -1,
  wildcards: true,
};
/** Without these an account has no JetStream. */
const WITH_JETSTREAM: OperatorLimits = {
  ...UNLIMITED,
  mem_storage: -1,
  disk_storage: -1,
  streams: -1,
  consumer: -1,
};

/** The tokens of operator and accounts, with the permissions of the roles and those who were revoked. */
export async function signServerTrust(
  ring: KeyRing,
  permissions: PermissionsOfRoles,
  members: readonly Member[],
): Promise<ServerTrust> {
  const [account, systemAccount] = [ring.account.publicText, ring.system.publicText];
  const token = (ofSystem: boolean): Promise<string> =>
    encodeAccount(
      ofSystem ? 'SYS' : 'MESH',
      ofSystem ? ring.system : ring.account,
      {
        limits: ofSystem ? UNLIMITED : WITH_JETSTREAM,
        signing_keys: ROLES.filter((role) => isOfSystem(role) === ofSystem).map((role) =>
          scope(ring, role, permissions),
        ),
        revocations: revocations(members.filter(({ role }) => isOfSystem(role) === ofSystem)),
      },
      { signer: ring.operator },
    );
  return {
    operator: await encodeOperator(ring.mesh, ring.operator, { system_account: systemAccount }),
    systemAccount,
    account,
    accounts: { [account]: await token(false), [systemAccount]: await token(true) },
  };
}

function scope(ring: KeyRing, role: Role, permissions: PermissionsOfRoles) {
  const { publish, subscribe, answersMs, payloadBytesMax, subscriptionsMax } = permissions[role];
  // By hand: the library's own makes room for an answer to everything in every role.
  const scoped: SigningKey = {
    kind: 'user_scope',
    key: ring.signers[role].publicText,
    role,
    template: {
      pub: { allow: [...publish] },
      sub: { allow: [...subscribe] },
      ...(answersMs === undefined ? {} : { resp: { max: 1, ttl: answersMs * NS_PER_MS } }),
      data: -1,
      payload: payloadBytesMax ?? -1,
      subs: subscriptionsMax ?? -1,
    },
  };
  return scoped;
}

/** A server refuses tokens of the key that were made before a time in seconds: here, all there will ever be. */
const FOR_EVER = 253_402_300_799;

function revocations(members: readonly Member[]): Record<string, number> {
  const revoked = members.filter(({ revokedAtMs }) => revokedAtMs !== undefined);
  return Object.fromEntries(revoked.map(({ publicKey }) => [publicKey, FOR_EVER]));
}
