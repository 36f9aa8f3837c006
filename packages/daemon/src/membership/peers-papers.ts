import { type MeshFolder, memberAddress } from '@podmesh/authority';
import { ChangingMember, type MeshAddress } from '@podmesh/jetstream';
import type { Logger } from 'pino';

/** What only a machine has that carries a server. */
const OF_ANCHORS = ['anchor', 'system'] as const;

/**
 * As whom a machine is connected that somebody let in: as an anchor while it is one, and as the peer that it always was
 * afterwards. Whoever has the keys takes back what it had as an anchor, which cuts those connections; they come again as
 * the peer's.
 */
export class PeersPapers {
  readonly #folder: MeshFolder;
  readonly #logger: Logger;
  #member: ChangingMember | undefined;

  constructor(folder: MeshFolder, logger: Logger) {
    this.#folder = folder;
    this.#logger = logger;
  }

  async address(): Promise<MeshAddress> {
    const address = await memberAddress(this.#folder, ['anchor', 'peer']);
    this.#member = new ChangingMember(address.member);
    return { ...address, member: this.#member };
  }

  /** Keeps what a peer has and nothing else; nothing happens where that is so, or where it has nothing else. */
  async retire(): Promise<void> {
    const folder = this.#folder;
    if ((await folder.credentials('peer')) === undefined) return;
    const { member } = await memberAddress(folder, ['peer']);
    if (this.#member?.role === 'anchor') this.#member.become(member);
    await folder.forgetServerCertificate();
    const had = await Promise.all(OF_ANCHORS.map((role) => folder.credentials(role)));
    for (const role of OF_ANCHORS) await folder.forgetCredentials(role);
    if (had.every((text) => text === undefined)) return;
    this.#logger.info('carries no server any more, and has nothing but what a peer has');
  }
}
