import { join } from 'node:path';
import {
  Authority,
  CertificateAuthority,
  joinerKey,
  MeshFolder,
  newRequest,
  type ServerTrust,
} from '@podmesh/authority';
import { type MeshAddress, rolePermissions } from '@podmesh/jetstream';

const MESH = 'night';

interface MemberWish {
  readonly name: string;
  readonly address: string;
  readonly isAnchor: boolean;
  readonly servers: readonly string[];
}

/** Who makes the mesh: its keys lie in a folder that no machine of it has. */
export class NightMembers {
  readonly #authority: Authority;
  readonly #certificates: CertificateAuthority;

  private constructor(authority: Authority, certificates: CertificateAuthority) {
    this.#authority = authority;
    this.#certificates = certificates;
  }

  static async found(folder: string): Promise<NightMembers> {
    const directory = join(folder, 'authority');
    const options = { directory, permissions: rolePermissions(), now: Date.now };
    const authority = await Authority.make(MESH, options);
    const certificates = await CertificateAuthority.make(directory, MESH, Date.now, (secret) =>
      authority.sign({ role: 'joiner', name: 'joiner', publicKey: joinerKey(secret).publicText }),
    );
    return new NightMembers(authority, certificates);
  }

  /** What servers must know of them; the same for all. */
  trust(): Promise<ServerTrust> {
    return this.#authority.serverTrust();
  }

  /** What a machine has after it joined, written to its home. */
  async admit(home: string, wish: MemberWish): Promise<MeshFolder> {
    const { name, address, isAnchor, servers } = wish;
    const folder = new MeshFolder(join(home, 'mesh'));
    for (const role of isAnchor ? (['anchor', 'user'] as const) : (['peer', 'user'] as const))
      await folder.setCredentials(role, await this.#authority.mint({ role, name }));
    await folder.setTaskSigning(this.#authority.taskSigning);
    const { request, key } = await newRequest(name);
    const own = { name, request, addresses: [address] };
    const ca = this.#certificates.certificate;
    const certificate = await this.#certificates.signMember(own);
    await folder.setCertificates({ ca, certificate, key });
    if (isAnchor) {
      const signed = await this.#certificates.signServer(own);
      await folder.setServerCertificate({ certificate: signed, key });
    }
    await folder.setPlace({ mesh: MESH, member: name, servers });
    return folder;
  }

  /** Of a member that may look at everything, at these addresses. */
  async observer(servers: readonly string[]): Promise<MeshAddress> {
    const name = 'observer';
    const credentials = await this.#authority.mint({ role: 'anchor', name });
    const { certificate: ca } = this.#certificates;
    return {
      servers,
      tls: true,
      member: { name, role: 'anchor', credentials },
      certificates: { ca },
    };
  }
}
