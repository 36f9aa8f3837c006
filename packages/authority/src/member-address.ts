import { openCredentials } from './credentials.ts';
import type { MemberCertificates, MeshFolder } from './mesh-folder.ts';
import type { Role } from './role.ts';

/** What connecting needs; the shape that `connectMesh` takes. Holds secrets: it goes into no log and no argument. */
export interface MemberAddress {
  readonly servers: readonly string[];
  readonly tls: boolean;
  readonly member: {
    readonly name: string;
    readonly role: MemberRole;
    readonly credentials: string;
  };
  readonly certificates?: MemberCertificates;
}

type MemberRole = Extract<Role, 'peer' | 'user' | 'anchor' | 'system'>;

/** This home cannot connect as what it should; the message says why, and what to do. */
export class NotAMemberError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'NotAMemberError';
  }
}

const SCHEME = 'mesh:';

/** How programs name a mesh by the folder of a member, `mesh:/…`: it holds no secret, as the folder does. */
export const meshUrl = (folder: string): string => `${SCHEME}${folder}`;

/** The folder in `mesh:/…`; undefined for other addresses. */
export const folderOfMeshUrl = (url: string): string | undefined =>
  url.startsWith(SCHEME) ? url.slice(SCHEME.length) : undefined;

/** As the first of the roles that the folder has credentials of. Throws `NotAMemberError`. */
export async function memberAddress(
  folder: MeshFolder,
  roles: readonly MemberRole[],
): Promise<MemberAddress> {
  const place = await folder.place();
  if (place === undefined) throw new NotAMemberError(`${folder.path} is that of no mesh`);
  for (const role of roles) {
    const credentials = await folder.credentials(role);
    if (credentials === undefined) continue;
    const certificates = await folder.certificates();
    return {
      servers: place.servers,
      tls: certificates !== undefined,
      member: { name: nameIn(credentials, folder.at(`${role}.creds`)), role, credentials },
      ...(certificates === undefined ? {} : { certificates }),
    };
  }
  throw new NotAMemberError(
    `${folder.path} has no credentials of a ${roles.join(' or ')} of the mesh ${place.mesh}; ` +
      'ask whoever made it for an invitation of that role',
  );
}

function nameIn(credentials: string, path: string): string {
  try {
    return openCredentials(credentials).name;
  } catch (error) {
    const why = error instanceof Error ? error.message : 'unreadable';
    throw new NotAMemberError(`${path}: ${why}; join the mesh again`);
  }
}
