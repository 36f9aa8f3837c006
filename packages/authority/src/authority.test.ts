import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decode, fromPublic, fromSeed } from '@nats-io/jwt';
import { claimId, runId, taskId } from '@podmesh/core';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Authority, type AuthorityOptions } from './authority.ts';
import { openCredentials } from './credentials.ts';
import { MeshFolder } from './mesh-folder.ts';
import { isUserKey, NatsKey } from './nats-key.ts';
import { type PermissionsOfRoles, ROLES } from './role.ts';
import { TaskSigner } from './task-credentials.ts';

const permissions = Object.fromEntries(
  ROLES.map((role) => [role, { publish: [`may.${role}`], subscribe: [`_INBOX.${role}.>`] }]),
) as unknown as PermissionsOfRoles;
let folder: string;
let options: AuthorityOptions;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'podmesh-authority-'));
  options = { directory: join(folder, 'authority'), permissions, now: () => 5_000 };
});

afterEach(() => rm(folder, { recursive: true, force: true }));

/** What the claims of a token say, once its signature was found good. */
const said = (token: string) => decode<Record<string, unknown>>(token);

test('keys are those of the NATS library', () => {
  for (const kind of ['operator', 'account', 'user'] as const) {
    const key = NatsKey.create(kind);
    const theirs = fromSeed(new TextEncoder().encode(key.seedText));
    expect(theirs.getPublicKey()).toBe(key.publicText);
    const text = new TextEncoder().encode('hello');
    expect(fromPublic(key.publicText).verify(text, key.sign(text))).toBe(true);
    expect(key.verify(text, theirs.sign(text))).toBe(true);
    expect(NatsKey.fromSeed(key.seedText).publicText).toBe(key.publicText);
    expect(isUserKey(key.publicText)).toBe(kind === 'user');
  }
});

test('a damaged seed is refused without being shown', () => {
  const seed = NatsKey.create('user').seedText;
  const wrong = `${seed.slice(0, 20)}${seed[20] === 'A' ? 'B' : 'A'}${seed.slice(21)}`;
  for (const text of [wrong, seed.slice(0, -1), '', 'not a key', seed.toLowerCase()]) {
    const refuse = () => NatsKey.fromSeed(text);
    expect(refuse).toThrow(TypeError);
    expect(refuse).not.toThrow(seed.slice(4, 16));
  }
});

test('is made once, for this user only, also by two at a time', async () => {
  const made = await Promise.all([1, 2, 3, 4].map(() => Authority.make('home', options)));
  const trusts = await Promise.all(made.map((one) => one.serverTrust()));
  expect(new Set(trusts.map(({ account }) => account)).size).toBe(1);
  expect((await stat(options.directory)).mode & 0o777).toBe(0o700);
  expect((await stat(join(options.directory, 'keys.json'))).mode & 0o777).toBe(0o600);
  expect((await readdir(options.directory)).sort()).toEqual(['keys.json', 'members', 'revoked']);
  const again = await Authority.make('other', options);
  expect(again.mesh).toBe('home');
  expect((await again.serverTrust()).account).toBe(trusts[0]?.account);
});

test('there is none where none was made', async () => {
  expect(await Authority.open(options)).toBeUndefined();
});

test('a damaged ring is named, not shown, and never replaced', async () => {
  await Authority.make('home', options);
  const path = join(options.directory, 'keys.json');
  const whole = await readFile(path, 'utf8');
  for (const text of [whole.slice(0, -40), '', whole.replace('"version": 1', '"version": 2')]) {
    await writeFile(path, text);
    const failed = await Authority.make('home', options).catch((error: unknown) => error);
    expect(String(failed)).toContain(path);
    expect(String(failed)).not.toMatch(/S[OAU][A-Z2-7]{20}/);
    expect(await readFile(path, 'utf8')).toBe(text);
  }
});

test('credentials say who it is, by the hand of its role', async () => {
  const authority = await Authority.make('home', options);
  const trust = await authority.serverTrust();
  const creds = await authority.mint({ role: 'peer', name: 'lab-1' });
  const opened = openCredentials(creds);
  expect(opened).toMatchObject({ name: 'lab-1', account: trust.account });
  const account = said(trust.accounts[trust.account] ?? '').nats as {
    signing_keys: { role: string; key: string; template: { pub: unknown } }[];
  };
  const scope = account.signing_keys.find(({ role }) => role === 'peer');
  expect(said(opened.token).iss).toBe(scope?.key);
  expect(scope?.template.pub).toEqual({ allow: ['may.peer'] });
  expect(account.signing_keys.map(({ role }) => role)).not.toContain('system');
  const system = openCredentials(await authority.mint({ role: 'system', name: 'lab-1' }));
  expect(system.account).toBe(trust.systemAccount);
  expect(said(trust.operator).nats).toMatchObject({ system_account: trust.systemAccount });
});

test('refuses names and keys that are none', async () => {
  const authority = await Authority.make('home', options);
  for (const name of ['', '*', 'a.b', '>', 'a b', 'x'.repeat(65), '{{name()}}'])
    await expect(authority.mint({ role: 'user', name })).rejects.toThrow(/no name of a member/);
  const account = NatsKey.create('account').publicText;
  for (const publicKey of ['', account, `U${'A'.repeat(55)}`])
    await expect(authority.sign({ role: 'user', name: 'ann', publicKey })).rejects.toThrow(/key/);
  expect(await authority.members()).toEqual([]);
});

test('what was revoked stays revoked, and nobody else is', async () => {
  const authority = await Authority.make('home', options);
  const key = NatsKey.create('user').publicText;
  await authority.sign({ role: 'peer', name: 'lab-1', publicKey: key });
  await authority.sign({ role: 'peer', name: 'lab-1', publicKey: key });
  await authority.mint({ role: 'user', name: 'lab-1' });
  await authority.mint({ role: 'user', name: 'ann' });
  expect(await authority.revoke('nobody')).toEqual([]);
  expect((await authority.revoke('lab-1', 'peer')).map(({ publicKey }) => publicKey)).toEqual([
    key,
  ]);
  expect(await authority.revoke('lab-1', 'peer')).toEqual([]);
  const good = (await authority.members()).filter((one) => one.revokedAtMs === undefined);
  expect(good.map(({ name, role }) => `${name} ${role}`).sort()).toEqual([
    'ann user',
    'lab-1 user',
  ]);
  const trust = await authority.serverTrust();
  const account = said(trust.accounts[trust.account] ?? '').nats as { revocations: object };
  expect(Object.keys(account.revocations)).toEqual([key]);
  const again = authority.sign({ role: 'peer', name: 'lab-1', publicKey: key });
  await expect(again).rejects.toThrow(/was revoked/);
});

test('a key belongs to one name and role', async () => {
  const authority = await Authority.make('home', options);
  const { publicText: publicKey } = NatsKey.create('user');
  await authority.sign({ role: 'user', name: 'ann', publicKey });
  const other = authority.sign({ role: 'anchor', name: 'ann', publicKey });
  await expect(other).rejects.toThrow(/somebody else/);
});

test('tasks are signed for by the key that peers have', async () => {
  const authority = await Authority.make('home', options);
  const signer = new TaskSigner(authority.taskSigning);
  const [run, task] = [runId('r1abcdefghij'), taskId('align:3')];
  const attempt = { run, task, claim: claimId('Claim1') };
  const opened = openCredentials(await signer.mint({ ...attempt, expiresAtMs: 60_001 }));
  expect(opened.expiresAtMs).toBe(61_000);
  expect(said(opened.token).nats).toMatchObject({
    tags: ['run:r1abcdefghij', 'task:align:3', 'claim:Claim1'],
  });
});

test('credentials of another are refused', async () => {
  const authority = await Authority.make('home', options);
  const [one, two] = await Promise.all(
    ['one', 'two'].map((name) => authority.mint({ role: 'user', name })),
  );
  const [head = ''] = (one ?? '').split('-----BEGIN USER NKEY SEED-----');
  const [, tail = ''] = (two ?? '').split('-----BEGIN USER NKEY SEED-----');
  expect(() => openCredentials(`${head}-----BEGIN USER NKEY SEED-----${tail}`)).toThrow(/another/);
  expect(() => openCredentials('nothing')).toThrow(/no credentials/);
});

test('a member keeps everything for itself', async () => {
  const mesh = new MeshFolder(join(folder, 'mesh'));
  expect(await mesh.place()).toBeUndefined();
  expect(await mesh.certificates()).toBeUndefined();
  const authority = await Authority.make('home', options);
  const trust = await authority.serverTrust();
  await mesh.setCredentials('peer', 'creds');
  await mesh.setTrust(trust);
  await mesh.setTaskSigning(authority.taskSigning);
  await mesh.setCertificates({ ca: 'ca', certificate: 'own', key: 'secret' });
  const place = { mesh: 'home', member: 'lab-1', servers: ['127.0.0.1:4222'] };
  await mesh.setPlace(place);
  expect(await mesh.place()).toEqual(place);
  expect(await mesh.credentials('peer')).toBe('creds');
  expect(await mesh.credentials('user')).toBeUndefined();
  expect(await mesh.trust()).toEqual(trust);
  expect(await mesh.taskSigning()).toEqual(authority.taskSigning);
  expect(await mesh.certificates()).toEqual({ ca: 'ca', certificate: 'own', key: 'secret' });
  for (const name of await readdir(mesh.path))
    expect((await stat(mesh.at(name))).mode & 0o777).toBe(0o600);
  await writeFile(mesh.at('mesh.json'), '{"servers": [');
  await expect(mesh.place()).rejects.toThrow(/mesh\.json is damaged/);
  await mesh.remove();
  expect(await mesh.place()).toBeUndefined();
});
