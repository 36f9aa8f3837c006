import { join } from 'node:path';
import { Authority, MeshFolder } from '@podmesh/authority';
import { type MeshAddress, rolePermissions } from '@podmesh/jetstream';

const NAME = 'observer';

/** How the test itself connects, by the keys that the first machine has in its home. */
export class NightObserver {
  readonly #home: string;

  constructor(home: string) {
    this.#home = home;
  }

  /** As a member that may look at everything. */
  async member(servers: readonly string[]): Promise<MeshAddress> {
    const directory = join(this.#home, 'authority');
    const options = { directory, permissions: rolePermissions(), now: Date.now };
    const authority = await Authority.open(options);
    if (authority === undefined) throw new Error(`${directory} has no keys`);
    return this.#address(servers, 'anchor', await authority.mint({ role: 'anchor', name: NAME }));
  }

  /** As who looks after the servers. */
  async system(servers: readonly string[]): Promise<MeshAddress> {
    const credentials = await this.#folder.credentials('system');
    if (credentials === undefined) throw new Error(`${this.#home} looks after no servers`);
    return this.#address(servers, 'system', credentials);
  }

  async #address(
    servers: readonly string[],
    role: 'anchor' | 'system',
    credentials: string,
  ): Promise<MeshAddress> {
    const certificates = await this.#folder.certificates();
    if (certificates === undefined) throw new Error(`${this.#home} has no certificates`);
    const { ca } = certificates;
    return { servers, tls: true, member: { name: NAME, role, credentials }, certificates: { ca } };
  }

  get #folder(): MeshFolder {
    return new MeshFolder(join(this.#home, 'mesh'));
  }
}
