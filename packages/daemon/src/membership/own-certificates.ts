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

export interface OwnCertificates {
  readonly folder: MeshFolder;
  readonly certificates: CertificateAuthority;
  readonly name: string;
  readonly nowMs: number;
}

/**
 * Certificates of the machine with the keys, for itself and its server: made when there are none, when they are of
 * another name, and long before they end. `isNew`: the server has to read its own.
 */
export async function ensureOwnCertificates(own: OwnCertificates): Promise<{ isNew: boolean }> {
  const { folder, certificates: ca, name } = own;
  await ensureOwnCertificate(own);
  const server = await folder.serverCertificate();
  if (!(await isOld(server?.certificate, own))) return { isNew: false };
  const { request, key } = await newRequest(name);
  // Servers of one mesh know each other by address, those of one machine by that of loopback.
  const addresses = ['127.0.0.1', ...ownAddresses()];
  const certificate = await ca.signServer({ name, request, addresses });
  await folder.setServerCertificate({ certificate, key });
  return { isNew: true };
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
