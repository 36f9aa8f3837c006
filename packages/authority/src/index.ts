export {
  Authority,
  type AuthorityOptions,
  type TaskSigning,
  type Wish,
  type WishWithKey,
} from './authority.ts';
export {
  CertificateAuthority,
  daysLeft,
  endOf,
  fingerprintOf,
  isDue,
  isOfMember,
  isRequest,
  joinerTokenIn,
  MEMBER_DAYS,
  type MemberRequest,
  newRequest,
  peerHostName,
  SERVER_NAME,
  serverSubject,
} from './certificate-authority.ts';
export { credentialsText, type OpenedCredentials, openCredentials } from './credentials.ts';
export {
  type Arrival,
  type Guest,
  guestName,
  INVITED_ROLES,
  type Invitation,
  type InvitationWish,
  type InvitedRole,
  invitationIdOf,
  invitationState,
  isInvitationId,
  isReservedName,
  type JoinRefusalKind,
  LIFE_MS_MAX,
  newInvitation,
  USES_MAX,
  useInvitation,
} from './invitation.ts';
export {
  isServerAddress,
  type JoinLine,
  joinerKey,
  joinLineText,
  type LineProblem,
  newInvitationSecret,
  parseJoinLine,
} from './join-line.ts';
export {
  type JoinAnswer,
  type JoinRequest,
  openWelcome,
  parseJoinRequest,
  sealWelcome,
  type Welcome,
} from './join-request.ts';
export {
  folderOfMeshUrl,
  type MemberAddress,
  memberAddress,
  meshUrl,
  NotAMemberError,
} from './member-address.ts';
export type { Member } from './member-book.ts';
export { type MemberCertificates, MeshFolder, type MeshPlace } from './mesh-folder.ts';
export { isUserKey, NatsKey } from './nats-key.ts';
export { replacePrivately } from './private-files.ts';
export {
  parseRenewalAnswer,
  parseRenewalRequest,
  RENEWAL,
  RENEWAL_ENTRY,
  type Renewal,
  type RenewalAnswer,
  type RenewalRefusalKind,
  type RenewalRequest,
  renewalIn,
} from './renewal.ts';
export {
  memberName,
  type PermissionsOfRoles,
  ROLES,
  type Role,
  type RolePermissions,
} from './role.ts';
export type { ServerTrust } from './server-trust.ts';
export { type TaskIdentity, TaskSigner } from './task-credentials.ts';
