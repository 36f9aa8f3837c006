import type {
  Authority,
  CertificateAuthority,
  Invitation,
  MeshFolder,
  TaskSigning,
} from '@podmesh/authority';
import type { MemberRecord } from '@podmesh/core';
import {
  answerJoins,
  answerRenewals,
  askToRenew,
  JetStreamRecords,
  type Mesh,
  type MeshConnection,
  memberHints,
  noteSeen,
} from '@podmesh/jetstream';
import { type OwnCertificate, systemClock } from '@podmesh/transfer';
import type { Logger } from 'pino';
import type { StartedParts } from '../started-parts.ts';
import { MeshAnnouncement } from './discovery.ts';
import { enterMember } from './enter-member.ts';
import { JoinDesk } from './join-desk.ts';
import { MemberWatch } from './member-watch.ts';
import { MembershipOffice } from './membership-office.ts';
import type { Membership } from './open-membership.ts';
import { RenewalDesk } from './renewal-desk.ts';
import { Renewals } from './renewals.ts';
import type { TaskKeys } from './task-keys.ts';

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
  readonly membership: Pick<Membership, 'folder' | 'keys' | 'open' | 'seat' | 'renewals'>;
  /** Whether the local network is told that there is a mesh. */
  readonly discovery: boolean;
  readonly logger: Logger;
  readonly onRevoked: (fingerprints: readonly string[]) => void;
  readonly taskKeys: TaskKeys;
  readonly onCertificate: (own: OwnCertificate) => void;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** Who is in the mesh: watched by all of its machines, decided where its keys are. */
export async function openMemberOffice(
  parts: MemberOfficeParts,
  started: StartedParts,
): Promise<MembershipOffice | undefined> {
  const { connection, mesh, self, membership, logger, onRevoked, taskKeys, now } = parts;
  const { folder, keys, open } = membership;
  if (folder === undefined) return undefined;
  const renewals = keys === undefined ? newRenewals(parts, folder) : undefined;
  const watch = new MemberWatch({
    members: mesh.members,
    hints: (signal) => memberHints(connection, signal),
    noteSeen: () => noteSeen(connection, self),
    clock: systemClock,
    logger,
    onRevoked: (fingerprints, isNews) => {
      onRevoked(fingerprints);
      if (isNews) renewals?.notice();
    },
  });
  started.add('watch over members', () => watch.stop());
  await watch.start();
  if (renewals !== undefined) {
    started.add('renewal of what a member has', () => renewals.stop());
    renewals.start();
  }
  if (keys === undefined) return undefined;
  const invitations = JetStreamRecords.invitations<Invitation>(connection);
  const members = JetStreamRecords.members<MemberRecord>(connection);
  const own = { name: self, role: 'anchor', sinceMs: now() } as const;
  await enterSelf(folder, members, own);
  membership.renewals?.onCertificate(async (certificate) => {
    await enterSelf(folder, members, own);
    parts.onCertificate(certificate);
  });
  const desk = new JoinDesk({ ...keys, invitations, members, now, logger });
  const stop = new AbortController();
  const answering = answerJoins(connection, (request) => desk.answer(request), stop.signal);
  const renewing = new RenewalDesk({ ...keys, members, now, logger });
  const renewed = answerRenewals(
    connection,
    (asker, request) => renewing.answer(asker, request),
    stop.signal,
  );
  started.add('desk for those who join', async () => {
    stop.abort();
    await Promise.all([answering, renewed]);
  });
  if (open !== undefined && parts.discovery) {
    const announced = { mesh: open.mesh, peer: self, port: open.port };
    const announcement = new MeshAnnouncement(announced, (error) =>
      logger.info({ err: error }, 'cannot tell the local network of the mesh'),
    );
    started.add('announcement on the local network', () => announcement.stop());
    announcement.start();
  }
  const onTaskSigning = async (signing: TaskSigning): Promise<void> => {
    await folder.setTaskSigning(signing);
    taskKeys.set(signing);
  };
  return new MembershipOffice({ ...keys, invitations, members, self, now, onTaskSigning });
}

/** Where the keys of the mesh are somebody else's, they are asked for what changes. */
function newRenewals(
  { connection, self, taskKeys, onCertificate, membership, logger, now }: MemberOfficeParts,
  folder: MeshFolder,
): Renewals {
  const ask = (request: Uint8Array) => askToRenew(connection, 'machine', request);
  const onServerCertificate = (): void => membership.seat?.server?.reload();
  const own = { folder, self, ask, taskKeys, onCertificate, onServerCertificate };
  return new Renewals({ ...own, clock: systemClock, now, logger });
}

/** The machine that made the mesh is a member like all others. */
async function enterSelf(
  folder: MeshFolder,
  members: JetStreamRecords<MemberRecord>,
  self: Pick<MemberRecord, 'name' | 'role' | 'sinceMs'>,
): Promise<void> {
  const certificate = (await folder.certificates())?.certificate;
  if (certificate !== undefined) await enterMember(members, self, certificate, true);
}
