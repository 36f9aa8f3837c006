import { X509Certificate } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  Authority,
  CertificateAuthority,
  fingerprintOf,
  MeshFolder,
  newRequest,
} from '@podmesh/authority';
import { expect, it, onTestFinished, vi } from 'vitest';
import { connectMesh } from './connect-mesh.ts';
import { EmbeddedNatsServer } from './embedded-nats-server.ts';
import { rolePermissions } from './permissions.ts';
import { readServerChain } from './server-chain.ts';

const MINUTE_MS = 60_000;

/** A server with TLS and roles, and what its daemon has; `host`: where it lets clients in. */
async function secureServer(host = '127.0.0.1') {
  const home = await mkdtemp(join(tmpdir(), 'podmesh-tls-'));
  onTestFinished(() => rm(home, { recursive: true, force: true }));
  const directory = join(home, 'authority');
  const options = { directory, permissions: rolePermissions(), now: Date.now };
  const authority = await Authority.make('home', options);
  const ca = await CertificateAuthority.make(directory, 'home', Date.now, async () => 'token');
  const folder = new MeshFolder(join(home, 'mesh'));
  const renew = async (): Promise<void> => {
    const { request, key } = await newRequest('first');
    const certificate = await ca.signServer({ name: 'first', request, addresses: [] });
    await folder.setServerCertificate({ certificate, key });
  };
  await renew();
  await folder.setCertificates({ ca: ca.certificate });
  const credentials = await authority.mint({ role: 'anchor', name: 'first' });
  const server = new EmbeddedNatsServer({
    directory: join(home, 'nats'),
    env: process.env,
    trusted: {
      trust: await authority.serverTrust(),
      member: { name: 'first', role: 'anchor', credentials },
      tls: folder.serverFiles,
      certificates: { ca: ca.certificate },
    },
    listen: { host, port: 0 },
  });
  onTestFinished(() => server.stop());
  await server.start();
  return { server, ca, renew, at: server.address.servers[0] ?? '' };
}

it(
  'reads the certificates of a server, the authority behind its own, and new ones after a reload',
  async () => {
    const { server, ca, renew, at } = await secureServer('0.0.0.0');
    const chain = await readServerChain(at, MINUTE_MS);
    expect(chain).toHaveLength(2);
    expect(fingerprintOf(chain[1] ?? '').equals(ca.fingerprint)).toBe(true);
    expect(new X509Certificate(chain[0] ?? '').checkHost('server.podmesh')).toBe('server.podmesh');
    const connection = await connectMesh({ url: server.address, name: 'first' });
    onTestFinished(() => connection.close());
    await renew();
    server.reload();
    await vi.waitFor(async () => {
      const [renewed = ''] = await readServerChain(at, MINUTE_MS);
      expect(renewed).not.toBe(chain[0]);
    }, MINUTE_MS);
    expect(connection.isConnected).toBe(true);
  },
  MINUTE_MS,
);

it(
  'lets nobody in who does not speak TLS, or trusts another authority',
  async () => {
    const { server, at } = await secureServer();
    const { member } = server.address;
    if (member === undefined) throw new Error('a server with roles');
    const plain = { servers: [at], tls: false, member };
    await expect(connectMesh({ url: plain, name: 'plain', timeoutMs: 3_000 })).rejects.toThrow();
    const other = await secureServer();
    const certificates = other.server.address.certificates;
    const strange = {
      ...plain,
      tls: true,
      ...(certificates === undefined ? {} : { certificates }),
    };
    await expect(
      connectMesh({ url: strange, name: 'strange', timeoutMs: 3_000 }),
    ).rejects.toThrow();
  },
  MINUTE_MS,
);

it('is not opened to other machines without TLS', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'podmesh-open-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  const listen = { host: '0.0.0.0', port: 0 };
  const server = new EmbeddedNatsServer({ directory, env: process.env, listen });
  onTestFinished(() => server.stop());
  await expect(server.start()).rejects.toThrow(/nothing but TLS and keys is let in at 0\.0\.0\.0/);
});

it('tells apart nobody, a stranger, and a server without TLS', async () => {
  const say = async (words: string): Promise<string> => {
    const server = createServer((socket) => socket.on('error', () => undefined).end(words));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    return `127.0.0.1:${(server.address() as { port: number }).port}`;
  };
  const stranger = await say('SSH-2.0-OpenSSH\r\n');
  const open = await say('INFO {"tls_required":false}\r\n');
  const liar = await say('INFO {"tls_required":true}\r\n');
  for (const server of [stranger, open, liar])
    await expect(readServerChain(server, 5_000)).rejects.toMatchObject({ kind: 'no-mesh' });
  await expect(readServerChain('127.0.0.1:1', 5_000)).rejects.toMatchObject({
    kind: 'unreachable',
  });
});
