import { EventEmitter } from 'node:events';
import type { TLSSocket } from 'node:tls';
import { expect, it } from 'vitest';
import { RevokedCertificates } from './peer-certificates.js';

/** The end of a connection as far as it is looked at here; without a certificate it is being closed. */
function fakeSocket(fingerprint256: string) {
  const certificate = {
    fingerprint256,
    subject: { CN: 'a' },
    subjectaltname: 'DNS:a.peer.podmesh',
  };
  const socket = Object.assign(new EventEmitter(), {
    certificate: certificate as typeof certificate | null,
    isDestroyed: false,
    getPeerCertificate: () => socket.certificate,
    destroy: () => {
      socket.isDestroyed = true;
      // As Node does until the handle is closed.
      socket.certificate = null;
    },
  });
  return socket;
}

it('a connection that is just closing keeps nobody else from being cut off', () => {
  const revoked = new RevokedCertificates();
  const [closing, bad, good] = [fakeSocket('AA'), fakeSocket('BB'), fakeSocket('CC')];
  for (const socket of [closing, bad, good]) revoked.admit(socket as unknown as TLSSocket);
  closing.destroy();
  revoked.set(['AA', 'BB']);
  revoked.set(['BB']);
  expect([bad.isDestroyed, good.isDestroyed]).toEqual([true, false]);
});
