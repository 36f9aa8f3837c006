import { join } from 'node:path';
import {
  type Authority,
  CertificateAuthority,
  endOf,
  folderOfMeshUrl,
  MeshFolder,
  memberAddress,
  meshUrl,
  NotAMemberError,
} from '@podmesh/authority';
import type { PeerId } from '@podmesh/core';
import { type MeshAddress, parseMeshUrl, pushTrust } from '@podmesh/jetstream';
import { isLoopback, systemClock } from '@podmesh/transfer';
import type { Logger } from 'pino';
import { hostOf, portOf } from '../anchors/anchor-place.ts';
import type { AnchorSeat } from '../anchors/anchor-seat.ts';
import { openSeat } from '../anchors/open-anchors.ts';
import { refuseOtherName } from '../anchors/refuse-other-name.ts';
import type { ServeAddress } from '../configuration.ts';
import type { Home } from '../home.ts';
import type { StartedParts } from '../started-parts.ts';
import { listenAddress, reachableAt } from './listening.ts';
import { authorityBeside, foundMesh, meshFolder, openAuthority } from './mesh-authority.ts';
import type { KeysOfMesh } from './open-member-office.ts';
import {
  ensureOwnCertificate,
  ensureOwnCertificates,
  openCertificates,
} from './own-certificates.ts';
import { OwnRenewals } from './own-renewals.ts';
import { PeersPapers } from './peers-papers.ts';

export interface MembershipParts {
  readonly home: Home;
  readonly peer: PeerId;
  /** What `--nats` or `PODMESH_NATS` said. */
  readonly nats?: string | undefined;
  readonly env: NodeJS.ProcessEnv;
  readonly logger: Logger;
  /** Where the server of this machine lets others in; absent: as it was told before, or on loopback. */
  readonly listen?: ServeAddress | undefined;
}

/** How this daemon is in its mesh. */
export interface Membership {
  readonly address: MeshAddress;
  /** For programs of this machine: with a token where the mesh has one, without any secret where it has roles. */
  readonly url: string;
  /** Whether a server of the mesh runs here. */
  readonly isAnchor: boolean;
  /** What this home carries of the mesh, or may be told to; absent in a mesh without roles. */
  readonly seat?: AnchorSeat;
  /** Copies of what is stored: whoever has a cluster of three servers or more has its facts on three of them. */
  readonly replicas: 1 | 3 | 5;
  /** Absent in a mesh without roles. */
  readonly folder?: MeshFolder;
  /** On the machine that made the mesh. */
  readonly keys?: KeysOfMesh;
  /** Of its own certificates, there. */
  readonly renewals?: OwnRenewals;
  /** Where its server is for others; absent where none runs here, or only this machine reaches it. */
  readonly open?: { readonly mesh: string; readonly host: string; readonly port: number };
}

/**
 * Finds the mesh of this home: the one that somebody named, the one that it has joined, or its own, whose authority
 * and server are made at the first time. What was started is in `started`. Throws a sentence for a person.
 */
export async function openMembership(
  parts: MembershipParts,
  started: StartedParts,
): Promise<Membership> {
  const { home, nats } = parts;
  const named = nats === undefined ? undefined : folderOfMeshUrl(nats);
  if (named !== undefined) return joined(new MeshFolder(named), parts, started);
  if (nats !== undefined) {
    const address = parseMeshUrl(nats);
    return { address, url: nats, isAnchor: false, replicas: replicasOf(address.servers.length) };
  }
  const folder = meshFolder(home);
  const isMember = (await folder.place()) !== undefined;
  const isJoined = isMember && (await openAuthority(home)) === undefined;
  return isJoined ? joined(folder, parts, started) : ownMesh(folder, parts, started);
}

/** A mesh that another machine, or another home of this one, made. */
async function joined(
  folder: MeshFolder,
  parts: MembershipParts,
  started: StartedParts,
): Promise<Membership> {
  const { home, peer } = parts;
  const name = (await folder.place())?.member;
  const isOther = folder.path !== meshFolder(home).path;
  if (isOther && name !== peer) {
    const authority = await authorityBeside(folder);
    if (authority !== undefined) {
      const own = await neighbour(authority, folder, { home, peer });
      return member(own, parts, started);
    }
  }
  await memberAddress(folder, ['anchor', 'peer']);
  if (name !== peer)
    throw new NotAMemberError(
      `${folder.path} is that of the member ${name}, not of ${peer}: start it without --name, or with --name ${name}`,
    );
  await refuseExpired(folder, name);
  return member(folder, parts, started);
}

/** Whoever joined, with the server that it carries if it was told to. */
async function member(
  folder: MeshFolder,
  parts: MembershipParts,
  started: StartedParts,
): Promise<Membership> {
  const listen = await listenAddress(parts.home.at('nats'), parts.listen);
  const papers = new PeersPapers(folder, parts.logger);
  const onNone = () => papers.retire();
  const seat = await openSeat({ ...parts, mesh: folder, listen, isFirst: false, onNone }, started);
  return {
    address: await papers.address(),
    url: meshUrl(folder.path),
    isAnchor: seat.record !== undefined,
    seat,
    replicas: replicasOf((await folder.anchors())?.anchors.length ?? 1),
    folder,
  };
}

/** Renewed long before, as long as its machine is on now and then: nobody speaks with it any more. */
async function refuseExpired(folder: MeshFolder, name: string): Promise<void> {
  const own = (await folder.certificates())?.certificate;
  const endMs = own === undefined ? undefined : endOf(own);
  if (endMs === undefined || endMs > Date.now()) return;
  const day = new Date(endMs).toISOString().slice(0, 10);
  throw new NotAMemberError(
    `the certificate of ${name} expired on ${day}, since this machine was away for too long: have the mesh's owner ` +
      `revoke it and invite it again (podmesh revoke ${name}; podmesh invite), and join with that line (podmesh join LINE)`,
  );
}

/** Whoever can read the keys of a mesh is its authority: a second home of the same user needs no invitation. */
async function neighbour(
  authority: Authority,
  folder: MeshFolder,
  { home, peer }: Pick<MembershipParts, 'home' | 'peer'>,
): Promise<MeshFolder> {
  const own = meshFolder(home);
  const place = await folder.place();
  if (place === undefined) throw new NotAMemberError(`${folder.path} is that of no mesh`);
  const known = await own.place();
  for (const role of ['peer', 'user'] as const) {
    const isKept = known?.mesh === place.mesh && known.member === peer;
    const kept = isKept ? await own.credentials(role) : undefined;
    if (kept !== undefined && (await authority.isGood(kept))) continue;
    await own.setCredentials(role, await authority.mint({ role, name: peer }));
  }
  await own.setTaskSigning(authority.taskSigning);
  const keys = join(folder.path, '..', 'authority');
  const certificates = await CertificateAuthority.open(keys, Date.now);
  if (certificates !== undefined)
    await ensureOwnCertificate({ folder: own, certificates, name: peer, nowMs: Date.now() });
  const record = await folder.anchors();
  await own.setPlace({ ...place, member: peer });
  if (record !== undefined) await own.setAnchors(record);
  return own;
}

/** The mesh that this home made, on the server that runs here. */
async function ownMesh(
  folder: MeshFolder,
  parts: MembershipParts,
  started: StartedParts,
): Promise<Membership> {
  const { home, peer, logger } = parts;
  // Before anything is written or revoked because of it.
  await refuseOtherName(home.at('nats', 'seat.json'), folder, peer);
  const authority = await foundMesh(home, peer);
  const certificates = await openCertificates(home.at('authority'), authority);
  await ensureOwnCertificates({ folder, certificates, name: peer, nowMs: Date.now() });
  const trust = await authority.serverTrust();
  await folder.setTrust(trust);
  const listen = await listenAddress(home.at('nats'), parts.listen);
  // A home that once had others beside it begins no second mesh, whatever was lost here, or left.
  const isFirst = ((await folder.anchors())?.generation ?? 1) === 1;
  const seat = await openSeat({ ...parts, mesh: folder, listen, isFirst }, started);
  const onServerCertificate = (): void => seat.server?.reload();
  const own = { folder, certificates, name: peer, onServerCertificate };
  const renewals = new OwnRenewals({ ...own, clock: systemClock, now: Date.now, logger });
  started.add('renewal of certificates', () => renewals.stop());
  await renewals.start();
  const served = seat.server?.served;
  const isAlone = seat.record !== undefined && seat.record.cluster === undefined;
  if (isAlone && served !== undefined)
    await folder.setPlace({ mesh: authority.mesh, member: peer, servers: [served] });
  const keys = {
    authority,
    certificates,
    servers: () => reachableServers(folder, listen, served),
    pushTrust: () => tellTrust(authority, folder),
  };
  // One that was taken over knows what was true when it was started.
  await pushTrust(await memberAddress(folder, ['system']), trust).catch((error: unknown) => {
    if (isAlone) throw error;
    logger.warn(
      { err: error },
      'could not tell the servers who is trusted; they know it from before',
    );
  });
  const isOpen = served !== undefined && reachableAt(listen, portOf(served)).length > 0;
  return {
    address: await memberAddress(folder, ['anchor']),
    url: meshUrl(folder.path),
    isAnchor: seat.record !== undefined,
    seat,
    replicas: replicasOf((await folder.anchors())?.anchors.length ?? 1),
    folder,
    keys,
    renewals,
    ...(isOpen ? { open: { mesh: authority.mesh, host: listen.host, port: portOf(served) } } : {}),
  };
}

const replicasOf = (anchors: number): 1 | 3 | 5 => (anchors >= 5 ? 5 : anchors >= 3 ? 3 : 1);

/** Where other machines find the servers: several by the record, one that is alone by where it listens. */
async function reachableServers(
  folder: MeshFolder,
  listen: ServeAddress,
  served: string | undefined,
): Promise<readonly string[]> {
  const record = await folder.anchors();
  if (record?.cluster === undefined)
    return served === undefined ? [] : reachableAt(listen, portOf(served));
  return record.anchors.map(({ client }) => client).filter((one) => !isLoopback(hostOf(one)));
}

/** Makes what the authority has decided hold, now and for servers that start later. */
async function tellTrust(authority: Authority, folder: MeshFolder): Promise<void> {
  const trust = await authority.serverTrust();
  await folder.setTrust(trust);
  await pushTrust(await memberAddress(folder, ['system']), trust);
}
