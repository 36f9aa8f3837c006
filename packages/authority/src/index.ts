export {
  Authority,
  type AuthorityOptions,
  type TaskSigning,
  type Wish,
  type WishWithKey,
} from './authority.ts';
export { credentialsText, type OpenedCredentials, openCredentials } from './credentials.ts';
export {
  folderOfMeshUrl,
  type MemberAddress,
  memberAddress,
  meshUrl,
  NotAMemberError,
} from './member-address.ts';
export type { Member } from './member-book.ts';
export { type MemberCertificates, MeshFolder, type MeshPlace } from './mesh-folder.ts';
export { NatsKey } from './nats-key.ts';
export {
  memberName,
  type PermissionsOfRoles,
  ROLES,
  type Role,
  type RolePermissions,
} from './role.ts';
export type { ServerTrust } from './server-trust.ts';
export { type TaskIdentity, TaskSigner } from './task-credentials.ts';
