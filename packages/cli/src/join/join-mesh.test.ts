import { X509Certificate } from 'node:crypto';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  Authority,
  CertificateAuthority,
  MEMBER_DAYS,
  MeshFolder,
  meshUrl,
  newRequest,
  parseJoinLine,
} from '@podmesh/authority';
import {
  ensureOwnCertificates,
  type MembershipOffice,
  openCertificates,
  openMemberOffice,
  StartedParts,
  TaskKeys,
} from '@podmesh/daemon';
import { connectMesh, EmbeddedNatsServer, openMesh, rolePermissions } from '@podmesh/jetstream';
import { connectClient } from '@podmesh/sdk';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CliError } from '../cli-error.ts';
import { joinMesh } from './join-mesh.ts';

const logger = pino({ level: 'silent' });
const undo: (() => Promise<unknown>)[] = [];
let nowMs = Date.now();

/** The machine that made a mesh, without the rest of a daemon. */
async function firstMachine(mesh: string) {
  const home = await newFolder();
  const directory = join(home, 'authority');
  const now = () => nowMs;
  const authority = await Authority.make(mesh, { directory, permissions: rolePermissions(), now });
  const certificates = await openCertificates(directory, authority);
  const folder = new MeshFolder(join(home, 'mesh'));
  const own = { folder, certificates, name: 'first', nowMs };
  await ensureOwnCertificates(own);
  const credentials = await authority.mint({ role: 'anchor', name: 'first' });
  const ownCertificates = await folder.certificates();
  const server = new EmbeddedNatsServer({
    directory: join(home, 'nats'),
    env: process.env,
    trusted: {
      trust: await authority.serverTrust(),
      member: { name: 'first', role: 'anchor', credentials },
      tls: folder.serverFiles,
      ...(ownCertificates === undefined ? {} : { certificates: ownCertificates }),
    },
  });
  undo.push(() => server.stop());
  await server.start();
  const connection = await connectMesh({ url: server.address, name: 'first' });
  undo.push(() => connection.close());
  await connection.ensureStreams({ replicas: 1 });
  const ports = openMesh(connection);
  undo.push(() => ports.stop());
  const started = new StartedParts();
  undo.push(() => started.stop(logger));
  const office = await openMemberOffice(
    {
      connection,
      mesh: ports,
      self: 'first',
      membership: {
        folder,
        keys: {
          authority,
          certificates,
          servers: async () => server.address.servers,
          pushTrust: async () => undefined,
        },
      },
      discovery: false,
      logger,
      onRevoked: () => undefined,
      taskKeys: new TaskKeys(),
      onCertificate: () => undefined,
      now,
    },
    started,
  );
  if (office === undefined) throw new Error('the keys are here');
  return { office, server, ports, directory };
}

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'podmesh-join-'));
  undo.push(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

let first: Awaited<ReturnType<typeof firstMachine>>;

beforeAll(async () => {
  first = await firstMachine('home');
}, 120_000);

afterAll(async () => {
  for (const end of undo.reverse()) await end();
}, 60_000);

const HOUR_MS = 3_600_000;
type Wish = Partial<Parameters<MembershipOffice['invite']>[0]>;

async function lineFor(wish: Wish = {}): Promise<string> {
  const whole = { role: 'user' as const, lifeMs: HOUR_MS, usesMax: 1, ...wish };
  nowMs += 1;
  return (await first.office.invite(whole)).line;
}

/** Joins from a machine of its own; the folder that it then has, or the words of the refusal. */
async function joining(line: string, name?: string, suggestion = 'machine') {
  const folder = join(await newFolder(), 'mesh');
  const newcomer = { folder, name, suggestion, addresses: ['127.0.0.1'] };
  try {
    return { welcome: await joinMesh(line, newcomer), folder, refused: '' };
  } catch (error) {
    if (!(error instanceof CliError) || error.advice === undefined) throw error;
    expect(await readdir(folder).catch(() => [])).toEqual([]);
    return { welcome: undefined, folder, refused: error.message };
  }
}

describe('a machine that joins', () => {
  it('becomes a member with keys of its own, in files of its owner only, and is let in', async () => {
    const { welcome, folder } = await joining(await lineFor({ role: 'peer' }), undefined, 'desk');
    expect(welcome).toMatchObject({ mesh: 'home', name: 'desk', role: 'peer' });
    const files = await readdir(folder);
    expect(files).toEqual(
      expect.arrayContaining(['peer.creds', 'user.creds', 'ca.pem', 'key.pem']),
    );
    expect(files).not.toContain('anchor.creds');
    for (const file of files) expect((await stat(join(folder, file))).mode & 0o777).toBe(0o600);
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
    const mesh = new MeshFolder(folder);
    const [place, certificates, credentials = ''] = await Promise.all([
      mesh.place(),
      mesh.certificates(),
      mesh.credentials('peer'),
    ]);
    expect(place).toEqual({ mesh: 'home', member: 'desk', servers: first.server.address.servers });
    if (place === undefined || certificates === undefined) throw new Error('nothing was kept');
    const member = { name: 'desk', role: 'peer' as const, credentials };
    const url = { servers: place.servers, tls: true, member, certificates };
    const connection = await connectMesh({ url, name: 'desk' });
    const listed = await openMesh(connection).members.list();
    expect(listed.map(({ name, role }) => [name, role])).toEqual([
      ['desk', 'peer'],
      ['first', 'anchor'],
    ]);
    await connection.close();
  });

  it.each([
    ['user', 0.7, true],
    ['user', 0.6, false],
    ['peer', 0.7, false],
  ] as const)(
    'as a %s uses its command line after %f of the life of its certificate, which is renewed: %s',
    async (role, age, isRenewed) => {
      const { welcome, folder } = await joining(await lineFor({ role }), undefined, 'ann');
      const name = welcome?.name ?? '';
      const mesh = new MeshFolder(folder);
      const thenMs = Date.now() - age * MEMBER_DAYS * 24 * HOUR_MS;
      const then = await CertificateAuthority.open(first.directory, () => thenMs);
      const { request, key } = await newRequest(name);
      const certificate = (await then?.signMember({ name, request, addresses: [] })) ?? '';
      await mesh.setCertificates({ ca: then?.certificate ?? '', certificate, key });
      const client = await connectClient(meshUrl(folder));
      await client.close();
      const now = await mesh.certificates();
      expect(now?.certificate !== certificate).toBe(isRenewed);
      expect(now?.key !== key).toBe(isRenewed);
      const [member] = (await first.ports.members.list()).filter((one) => one.name === name);
      const print = new X509Certificate(now?.certificate ?? '').fingerprint256;
      if (isRenewed) expect(member?.certificates).toContain(print);
      expect(await mesh.taskSigning()).toEqual(role === 'peer' ? expect.anything() : undefined);
    },
  );

  it('gets a name that is free, and not one that somebody has', async () => {
    const line = await lineFor({ usesMax: 4 });
    expect((await joining(line, undefined, 'twin')).welcome?.name).toBe('twin');
    expect((await joining(line, undefined, 'twin')).welcome?.name).toBe('twin-2');
    expect((await joining(line, 'TWIN')).refused).toMatch(/has a member of that name/);
    const named = await lineFor({ name: 'nas' });
    expect((await joining(named, 'other')).refused).toMatch(/member of another name/);
    expect((await joining(named)).welcome?.name).toBe('nas');
  });

  it('is told apart: used, expired, revoked, of nobody', async () => {
    const once = await lineFor();
    expect((await joining(once)).refused).toBe('');
    expect((await joining(once)).refused).toMatch(/was used as often as it can be/);
    const short = await lineFor({ lifeMs: 1_000 });
    nowMs += 1_000;
    expect((await joining(short)).refused).toMatch(/the invitation has expired/);
    const { line, invitation } = await first.office.invite({
      role: 'user',
      lifeMs: HOUR_MS,
      usesMax: 1,
    });
    await first.office.revoke(invitation.id);
    expect((await joining(line)).refused).toMatch(/the invitation was revoked/);
    const other = await secondMesh();
    const parsed = parseJoinLine(line);
    if ('kind' in parsed) throw new Error(parsed.message);
    const elsewhere = await other.office.invite({ role: 'user', lifeMs: HOUR_MS, usesMax: 1 });
    // The line of another mesh at the address of this one: nothing is told to it.
    const crossed = elsewhere.line.slice(0, elsewhere.line.indexOf('@'));
    expect((await joining(`${crossed}@${parsed.servers[0]}`)).refused).toMatch(/not whole/);
    const strange = await other.office.invite({
      role: 'user',
      lifeMs: HOUR_MS,
      usesMax: 1,
      servers: parsed.servers,
    });
    expect((await joining(strange.line)).refused).toMatch(/does not prove to be the mesh/);
  });

  it('counts exactly when many come with one line at once', async () => {
    const line = await lineFor({ usesMax: 3 });
    const all = await Promise.all(Array.from({ length: 6 }, () => joining(line)));
    expect(all.filter(({ welcome }) => welcome !== undefined)).toHaveLength(3);
    expect(new Set(all.map(({ welcome }) => welcome?.name)).size).toBe(4);
    const [newest] = await first.office.listInvitations();
    expect(newest).toMatchObject({ state: 'used up' });
    expect(newest?.guests).toHaveLength(3);
  }, 60_000);

  it('says so where nobody answers, and where something else does', async () => {
    const closed = createServer();
    await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve));
    const { port } = closed.address() as { port: number };
    closed.on('connection', (socket) => socket.end('SSH-2.0-OpenSSH\r\n').on('error', () => 0));
    const web = await lineFor({ servers: [`127.0.0.1:${port}`] });
    expect((await joining(web)).refused).toMatch(/does not prove to be the mesh/);
    await new Promise((resolve) => closed.close(resolve));
    expect((await joining(web)).refused).toBe(`no server of the mesh answers at 127.0.0.1:${port}`);
    const mixed = await lineFor({
      servers: [`127.0.0.1:${port}`, ...first.server.address.servers],
    });
    expect((await joining(mixed)).welcome).toBeDefined();
  });
});

/** Another mesh on this machine. */
async function secondMesh() {
  return firstMachine('other');
}

describe('whoever has the keys', () => {
  it('lists invitations without their secrets, and takes back members and invitations by name', async () => {
    nowMs += 1;
    const { line, invitation } = await first.office.invite({
      role: 'anchor',
      lifeMs: HOUR_MS,
      usesMax: 2,
      name: 'attic',
    });
    const [newest] = await first.office.listInvitations();
    expect(newest).toEqual(invitation);
    const parsed = parseJoinLine(line);
    if ('kind' in parsed) throw new Error(parsed.message);
    const secret = parsed.invitationSecret;
    const told = JSON.stringify(newest);
    for (const form of ['hex', 'base64url', 'base64'] as const)
      expect(told).not.toContain(secret.toString(form));
    const { welcome } = await joining(line);
    expect(welcome).toMatchObject({ name: 'attic', role: 'anchor' });
    expect(welcome?.serverCertificate).toContain('BEGIN CERTIFICATE');
    expect(await first.office.revoke('attic')).toEqual({
      kind: 'member',
      name: 'attic',
      newTaskKey: true,
    });
    const attic = (await first.ports.members.list()).find(({ name }) => name === 'attic');
    expect(attic).toMatchObject({ certificates: [], revokedAtMs: nowMs });
    expect(attic?.revoked).toHaveLength(1);
    // Whoever was taken out may be invited again, under the same name.
    expect((await joining(line)).welcome).toMatchObject({ name: 'attic' });
    const back = (await first.ports.members.list()).find(({ name }) => name === 'attic');
    expect(back?.revokedAtMs).toBeUndefined();
  });

  it('is told what cannot be: no such member, itself, a name that is taken', async () => {
    await expect(first.office.revoke('nobody')).rejects.toThrow(/has no member nobody/);
    await expect(first.office.revoke('inv-0123456789')).rejects.toThrow(/no invitation/);
    await expect(first.office.revoke('joiner')).rejects.toThrow(/has no member joiner/);
    expect((await joining(await lineFor())).refused).toBe('');
    await expect(first.office.revoke('first')).rejects.toThrow(/is this machine itself/);
    const wish = { role: 'peer' as const, lifeMs: 1, usesMax: 1 };
    await expect(first.office.invite({ ...wish, name: 'FIRST' })).rejects.toThrow(/has a member/);
    await expect(first.office.invite({ ...wish, name: 'a b' })).rejects.toThrow(/no name/);
  });
});
