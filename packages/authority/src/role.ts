/**
 * What somebody with credentials is. `anchor`: a peer's machine that carries the mesh's server, when it makes streams;
 * `system`: the same, when it looks after the servers (the system account, which reaches no work of the mesh).
 */
export const ROLES = ['peer', 'user', 'anchor', 'task', 'joiner', 'system'] as const;
export type Role = (typeof ROLES)[number];

/**
 * What a role may publish and subscribe to, as subjects of NATS; `{{name()}}` stands for the member's name and
 * `{{tag(x)}}` for a tag of its credentials. Everything that is not listed is refused.
 */
export interface RolePermissions {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
  /** May answer, once, where whoever asked it wants the answer, for so long. */
  readonly answersMs?: number;
  /** Bytes of one message; the server's own limit where absent. */
  readonly payloadBytesMax?: number;
  /** Subscriptions at a time; unbounded where absent. */
  readonly subscriptionsMax?: number;
}

export type PermissionsOfRoles = Readonly<Record<Role, RolePermissions>>;

/** Names stand in subjects: what is anything else could reach further than its own. */
const MEMBER_NAME = /^[A-Za-z0-9_-]{1,64}$/;

/** The name, when it can be one token of a subject. Throws a `TypeError` that says what a name is. */
export function memberName(text: string): string {
  if (MEMBER_NAME.test(text)) return text;
  throw new TypeError(
    `${JSON.stringify(text.slice(0, 80))} is no name of a member: 1 to 64 letters, digits, - and _`,
  );
}
