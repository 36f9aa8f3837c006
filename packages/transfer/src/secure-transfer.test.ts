import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createConnection, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { CertificateAuthority, newRequest } from '@podmesh/authority';
import { type PeerEntry, peerId } from '@podmesh/core';
import { expect, it, onTestFinished, vi } from 'vitest';
import { HttpTransport } from './http-transport.ts';
import type { OwnCertificate } from './peer-certificates.js';
import { systemClock } from './system-clock.ts';
import { bulkSourceOf, newServer, sampleBytes, sourceOf } from './transfer.test-kit.ts';

const signal = new AbortController().signal;

/** An authority of its own, and certificates by name. */
async function newMesh() {
  const folder = await mkdtemp(join(tmpdir(), 'podmesh-secure-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const ca = await CertificateAuthority.make(folder, 'home', Date.now, async () => 'token');
  const certify = async (name: string, as = name): Promise<OwnCertificate> => {
    const { request, key } = await newRequest(name);
    const addresses = ['127.0.0.1'];
    const cert = await ca.signMember({ name: as, request, addresses });
    return { ca: ca.certificate, cert, key };
  };
  /** As a server of the mesh has it: of the same authority, whose name its member may have lost. */
  const certifyServer = async (name: string): Promise<OwnCertificate> => {
    const { request, key } = await newRequest(name);
    const cert = await ca.signServer({ name, request, addresses: ['127.0.0.1'] });
    return { ca: ca.certificate, cert, key };
  };
  return { certify, certifyServer };
}

/** Peer `a` serves an artifact; whoever asks is told `url`, or where it really is. */
async function serving(own: OwnCertificate | undefined, bytes = sampleBytes(1)) {
  const source = bulkSourceOf(sourceOf(bytes.bytes));
  const server = newServer(peerId('a'), { source, ...(own === undefined ? {} : { own }) });
  await server.start();
  onTestFinished(() => server.stop());
  const fetchWith = async (asker: OwnCertificate | undefined, url = server.url) => {
    const bulk = { urls: [url], key: 'key' };
    const find = async () => ({ peer: peerId('a'), bulk }) as unknown as PeerEntry;
    const transport = new HttpTransport({ peers: { find }, clock: systemClock, own: asker });
    onTestFinished(() => transport.stop());
    const into = Buffer.alloc(65_536);
    const place = { artifact: bytes.id, index: 0, offset: 0, bytes: into.length };
    const got = await transport.fetch(peerId('a'), place, into, signal);
    return { got, into, transport, place };
  };
  return { server, bytes, fetchWith };
}

/** Passes on to the server, and remembers all that went over the line. */
async function tappedLine(url: string) {
  const seen: Buffer[] = [];
  const sockets: Socket[] = [];
  const tap = createServer((near) => {
    const far = createConnection(Number(new URL(url).port), '127.0.0.1');
    sockets.push(near, far);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on('data', (piece: Buffer) => seen.push(piece));
      from.on('error', () => to.destroy());
      from.pipe(to);
    }
  });
  await new Promise<void>((resolve) => tap.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    tap.close();
  });
  const { port } = tap.address() as AddressInfo;
  return { url: `${new URL(url).protocol}//127.0.0.1:${port}`, seen: () => Buffer.concat(seen) };
}

it('brings bytes to a member over a line on which nobody can read them', async () => {
  const { certify } = await newMesh();
  const [a, b] = [await certify('a'), await certify('b')];
  const marker = 'a sentence that is easily found';
  const plain = sampleBytes(1);
  plain.bytes.write(marker, 100);
  const { server, fetchWith } = await serving(a, plain);
  const line = await tappedLine(server.url);
  const { got, into } = await fetchWith(b, line.url);
  expect(got).toEqual({ ok: true, value: undefined });
  expect(into.includes(marker)).toBe(true);
  expect(line.seen().length).toBeGreaterThan(into.length);
  expect(line.seen().includes(marker)).toBe(false);
  // The tap itself would see it.
  const open = await serving(undefined, plain);
  const openLine = await tappedLine(open.server.url);
  await open.fetchWith(undefined, openLine.url);
  expect(openLine.seen().includes(marker)).toBe(true);
});

it('gives nothing to a stranger: no certificate, one of another mesh, one that signed itself', async () => {
  const { certify } = await newMesh();
  const other = await newMesh();
  const { server, fetchWith } = await serving(await certify('a'));
  const stranger = await other.certify('b');
  const { ca } = await certify('b');
  expect((await fetchWith({ ...stranger, ca })).got.ok).toBe(false);
  expect((await fetchWith(undefined)).got.ok).toBe(false);
  // What curl would see: the handshake, and then the end of the connection.
  const said = await new Promise<string>((resolve) => {
    const port = Number(new URL(server.url).port);
    const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
      socket.write(
        'GET /v1/hello?nonce=00112233445566778899aabbccddeeff HTTP/1.1\r\nhost: a\r\n\r\n',
      );
    });
    socket.on('data', (piece: Buffer) => resolve(piece.toString()));
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(String(error.code)));
    socket.on('close', () => resolve('closed'));
  });
  expect(said).toMatch(/CERTIFICATE_REQUIRED|ECONNRESET|closed/);
});

it('takes nothing from another member that stands at the address, nor from a server without TLS', async () => {
  const { certify } = await newMesh();
  const b = await certify('b');
  const wrong = await serving(await certify('c'));
  expect((await wrong.fetchWith(b)).got).toMatchObject({ ok: false });
  const capitals = await serving(await certify('A'));
  expect((await capitals.fetchWith(b)).got).toMatchObject({ ok: false });
  const plain = await serving(undefined);
  expect((await plain.fetchWith(b)).got).toMatchObject({ ok: false });
});

it('cuts off whoever is revoked, at once and for good', async () => {
  const { certify } = await newMesh();
  const { server, fetchWith } = await serving(await certify('a'));
  const b = await certify('b');
  const first = await fetchWith(b);
  expect(first.got.ok).toBe(true);
  const { X509Certificate } = await import('node:crypto');
  const { fingerprint256 } = new X509Certificate(b.cert);
  const line = await new Promise<Socket>((resolve) => {
    const port = Number(new URL(server.url).port);
    const socket = connect({ port, host: '127.0.0.1', servername: 'a.peer.podmesh', ...b }, () =>
      resolve(socket),
    );
  });
  const closed = new Promise((resolve) => line.once('close', resolve).on('error', resolve));
  line.resume();
  server.revoke([fingerprint256]);
  await closed;
  const again = await first.transport.fetch(peerId('a'), first.place, first.into, signal);
  expect(again.ok).toBe(false);
  expect((await fetchWith(b)).got.ok).toBe(false);
  expect((await fetchWith(await certify('b'))).got.ok).toBe(true);
});

it('gives nothing to whoever shows the certificate of a server, and asks nothing of one', async () => {
  const { certify, certifyServer } = await newMesh();
  const { fetchWith } = await serving(await certify('a'));
  expect((await fetchWith(await certifyServer('anchor'))).got.ok).toBe(false);
  expect((await fetchWith(await certify('b'))).got.ok).toBe(true);
  const server = await serving(await certifyServer('a'));
  expect((await server.fetchWith(await certify('b'))).got.ok).toBe(false);
});

it('asks nothing of a peer whose certificate is revoked', async () => {
  const { certify } = await newMesh();
  const a = await certify('a');
  const { fetchWith } = await serving(a);
  const { got, transport, place, into } = await fetchWith(await certify('b'));
  expect(got.ok).toBe(true);
  const { X509Certificate } = await import('node:crypto');
  transport.revoke([new X509Certificate(a.cert).fingerprint256]);
  await vi.waitFor(async () =>
    expect((await transport.fetch(peerId('a'), place, into, signal)).ok).toBe(false),
  );
});

it('closes a connection that speaks no TLS', async () => {
  const { certify } = await newMesh();
  const { server } = await serving(await certify('a'));
  const socket = createConnection(Number(new URL(server.url).port), '127.0.0.1');
  socket.write(randomBytes(8));
  await new Promise((resolve) => socket.once('close', resolve).on('error', resolve));
});
