import type { ListedMember, MemberDirectory, MemberRecord } from '@podmesh/core';
import { JetStreamRecords, lastSeen } from './jetstream-records.ts';
import type { MeshConnection } from './mesh-connection.ts';
import { asking } from './port-error.ts';
import { MEMBER_BUCKET, streamOfBucket } from './subjects.ts';

/** Members in a bucket that only who holds the keys of the mesh writes; when they were seen last in another. */
export class JetStreamMemberDirectory implements MemberDirectory {
  readonly #mesh: MeshConnection;
  readonly #records: JetStreamRecords<MemberRecord>;

  constructor(mesh: MeshConnection) {
    this.#mesh = mesh;
    this.#records = JetStreamRecords.members(mesh);
  }

  async list(): Promise<readonly ListedMember[]> {
    const [records, seen] = await Promise.all([this.#records.list(), lastSeen(this.#mesh)]);
    const listed = records.map((record): ListedMember => {
      const seenAtMs = seen.get(record.name);
      return seenAtMs === undefined ? record : { ...record, seenAtMs };
    });
    return listed.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  async revision(): Promise<string> {
    return asking('look whether members changed', async () => {
      await this.#mesh.untilConnected(0);
      const { created, state } = await this.#mesh.jsm.streams.info(streamOfBucket(MEMBER_BUCKET));
      // A mesh that moved to other servers has another stream.
      return `${created} ${state.last_seq}`;
    });
  }
}
