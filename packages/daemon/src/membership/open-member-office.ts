import { X509Certificate } from 'node:crypto';
import type { Authority, CertificateAuthority, Invitation, MeshFolder } from '@podmesh/authority';
import { type MemberRecord, withCertificate } from '@podmesh/core';
import { answerJoins, JetStreamRecords, type Mesh, type MeshConnection } from '@podmesh/jetstream';
import { systemClock } from '@podmesh/transfer';
import type { Logger } from 'pino';
import type { StartedParts } from '../started-parts.ts';
import { MeshAnnouncement } from './discovery.ts';
import { JoinDesk } from './join-desk.ts';
import { MemberWatch } from './member-watch.ts';
import { MembershipOffice } from './membership-office.ts';
import type { Membership } from './open-membership.ts';

/** What the machine has that made the mesh. */
export interface KeysOfMesh {
  readonly authority: Authority;
  readonly certificates: CertificateAuthority;
  /** `host:port` where other machines reach the mesh. */
  readonly servers: () => Promise<readonly string[]>;
  /** Makes every server know who was revoked. */
  readonly pushTrust: () => Promise<void>;
}

export interface MemberOfficeParts {
  readonly connection: MeshConnection;
  readonly mesh: Mesh;
  /** Own name. */
  readonly self: string;
  readonly membership: Pick<Membership, 'folder' | 'keys' | 'open'>;
  /** Whether the local network is told that there is a mesh. */
  readonly discovery: boolean;
  readonly logger: Logger;
  readonly onRevoked: (fingerprints: readonly string[]) => void;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

const TRIES_MAX = 100;

/** Who is in the mesh: watched by all of its machines, decided where its keys are. */
export async function openMemberOffice(
  parts: MemberOfficeParts,
  started: StartedParts,
): Promise<MembershipOffice | undefined> {
  const { connection, mesh, self, membership, logger, onRevoked, now } = parts;
  const { folder, keys, open } = membership;
  if (folder === undefined) return undefined;
  const watch = new MemberWatch({
    connection,
    members: mesh.members,
    self,
    clock: systemClock,
    logger,
    onRevoked,
  });
  started.add('watch over members', () => watch.stop());
  await watch.start();
  if (keys === undefined) return undefined;
  const invitations = JetStreamRecords.invitations<Invitation>(connection);
  const members = JetStreamRecords.members<MemberRecord>(connection);
  await enterSelf(folder, members, { name: self, role: 'anchor', sinceMs: now() });
  const desk = new JoinDesk({ ...keys, invitations, members, now, logger });
  const stop = new AbortController();
  const answering = answerJoins(connection, (request) => desk.answer(request), stop.signal);
  started.add('desk for those who join', async () => {
    stop.abort();
    await answering;
  });
  if (open !== undefined && parts.discovery) {
    const announced = { mesh: open.mesh, peer: self, port: open.port };
    const announcement = new MeshAnnouncement(announced, (error) =>
      logger.info({ err: error }, 'cannot tell the local network of the mesh'),
    );
    started.add('announcement on the local network', () => announcement.stop());
    announcement.start();
  }
  return new MembershipOffice({ ...keys, invitations, members, self, now });
}

/** The machine that made the mesh is a member like all others. */
async function enterSelf(
  folder: MeshFolder,
  members: JetStreamRecords<MemberRecord>,
  self: Pick<MemberRecord, 'name' | 'role' | 'sinceMs'>,
): Promise<void> {
  const certificate = (await folder.certificates())?.certificate;
  if (certificate === undefined) return;
  const { fingerprint256 } = new X509Certificate(certificate);
  for (let tries = 0; tries < TRIES_MAX; tries += 1) {
    const known = await members.find(self.name);
    if (known?.value.certificates.includes(fingerprint256) === true) return;
    const record = withCertificate(known?.value, self, fingerprint256);
    if (await members.write(self.name, record, known?.revision ?? 0)) return;
  }
}
