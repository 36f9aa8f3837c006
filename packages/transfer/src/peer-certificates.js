import { checkServerIdentity } from 'node:tls';

/** Every peer is a Node of this decade. */
export const TLS_VERSION_MIN = 'TLSv1.3';

/** @typedef {import('node:tls').TLSSocket} TlsSocket */
/**
 * @typedef {object} OwnCertificate This peer's, and the authority of the mesh that signed it; PEM.
 * @property {string} ca
 * @property {string} cert
 * @property {string} key
 */

/** Certificates that were taken back, and the connections of those that were not. */
export class RevokedCertificates {
  /** @type {ReadonlySet<string>} */
  #fingerprints = new Set();
  /** @type {Set<TlsSocket>} */
  #admitted = new Set();

  /**
   * All that are revoked; whoever is connected with one of them is cut off.
   * @param {readonly string[]} fingerprints SHA-256 of the certificates, as Node writes it
   */
  set(fingerprints) {
    this.#fingerprints = new Set(fingerprints);
    for (const socket of this.#admitted) this.#check(socket);
  }

  /**
   * Watches a connection whose other end has proven its certificate.
   * @param {TlsSocket} socket
   */
  admit(socket) {
    this.#admitted.add(socket);
    socket.once('close', () => this.#admitted.delete(socket));
    this.#check(socket);
  }

  /** @param {TlsSocket} socket */
  #check(socket) {
    // Null, whatever its type says, of a connection that is destroyed and not closed yet.
    const certificate = /** @type {import('node:tls').PeerCertificate | null} */ (
      socket.getPeerCertificate()
    );
    if (certificate === null) return;
    if (this.#fingerprints.has(certificate.fingerprint256) || !isOfMember(certificate))
      socket.destroy();
  }
}

/**
 * Servers of the mesh have certificates of the same authority, which are for nothing else: nobody takes them back.
 * @param {import('node:tls').PeerCertificate} certificate
 */
function isOfMember({ subject, subjectaltname = '' }) {
  return subjectaltname.split(', ').includes(`DNS:${subject?.CN}.peer.podmesh`);
}

/**
 * What a connection to a peer is made with. Its certificate has to be of this mesh and of just that name, wherever its
 * address leads.
 * @param {string} peer
 * @param {OwnCertificate} own
 * @param {readonly string[]} revoked fingerprints
 * @returns {import('./http-connection.js').TlsIdentity}
 */
export function identityTowards(peer, own, revoked) {
  const servername = `${peer}.peer.podmesh`;
  return {
    ...own,
    servername,
    minVersion: TLS_VERSION_MIN,
    checkServerIdentity: (_, certificate) => {
      // Names of hosts are the same in capitals, names of peers are not.
      if (certificate.subject.CN !== peer) return new Error('the certificate is of another peer');
      if (revoked.includes(certificate.fingerprint256))
        return new Error('the certificate was revoked');
      return checkServerIdentity(servername, certificate);
    },
  };
}
