import { isIP } from 'node:net';
import {
  type Authority,
  CertificateAuthority,
  isDue,
  joinerKey,
  type MeshFolder,
  newRequest,
} from '@podmesh/authority';
import { ownAddresses } from '@podmesh/transfer';

/** The certificate authority beside the keys of the mesh, made when there is none. */
export function openCertificates(
  directory: string,
  authority: Authority,
): Promise<CertificateAuthority> {
  return CertificateAuthority.make(directory, authority.mesh, Date.now, (secret) =>
    authority.sign({ role: 'joiner', name: 'joiner', publicKey: joinerKey(secret).publicText }),
  );
}

import { hostOf } from '../anchors/anchor-place.ts';

export interface OwnCertificates {
  readonly folder: MeshFolder;
  readonly certificates: CertificateAuthority;
  readonly name: string;
  readonly nowMs: number;
}

/**
 * Certificates of the machine with the keys, for itself and its server: made when there are none, when they are of
 * another name, and long before they end.
 */
export async function ensureOwnCertificates(own: OwnCertificates): Promise<void> {
  const { folder, certificates: ca, name } = own;
  await ensureOwnCertificate(own);
  const server = await folder.serverCertificate();
  if (!(await isOld(server?.certificate, own))) return;
  const { request, key } = await newRequest(name);
  // Servers of one mesh know each other by address, those of one machine by that of loopback.
  const addresses = [...new Set(['127.0.0.1', ...ownAddresses(), ...(await anchorHosts(own))])];
  const certificate = await ca.signServer({ name, request, addresses });
  await folder.setServerCertificate({ certificate, key });
}

/** Where other servers find this one, which may be by an address that the machine itself does not have. */
async function anchorHosts({ folder, name }: OwnCertificates): Promise<readonly string[]> {
  const { anchors = [] } = (await folder.anchors()) ?? {};
  const self = anchors.filter(({ peer }) => peer === name);
  const places = self.flatMap(({ client, route }) => [
    client,
    ...(route === undefined ? [] : [route]),
  ]);
  return places.map(hostOf).filter((host) => isIP(host) !== 0);
}

/** Of a member on the machine with the keys. */
export async function ensureOwnCertificate(own: OwnCertificates): Promise<void> {
  const { folder, certificates: ca, name } = own;
  const mine = await folder.certificates();
  if (mine?.key !== undefined && !(await isOld(mine.certificate, own))) return;
  const { request, key } = await newRequest(name);
  const certificate = await ca.signMember({ name, request, addresses: ownAddresses() });
  await folder.setCertificates({ ca: ca.certificate, certificate, key });
}

async function isOld(
  pem: string | undefined,
  { folder, certificates, name, nowMs }: OwnCertificates,
): Promise<boolean> {
  const place = await folder.place();
  const isRenamed = place !== undefined && place.member !== name;
  return pem === undefined || isRenamed || isDue(pem, certificates.certificate, nowMs);
}
