import { join } from 'node:path';
import { Authority, MeshFolder, memberAddress } from '@podmesh/authority';
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
    const credentials = await authority.mint({ role: 'anchor', name: NAME });
    const member = { name: NAME, role: 'anchor', credentials } as const;
    return { ...(await memberAddress(this.#folder, ['user'])), servers, member };
  }

  /** As who looks after the servers. */
  async system(servers: readonly string[]): Promise<MeshAddress> {
    return { ...(await memberAddress(this.#folder, ['system'])), servers };
  }

  get #folder(): MeshFolder {
    return new MeshFolder(join(this.#home, 'mesh'));
  }
}
