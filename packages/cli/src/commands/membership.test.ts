import { mkdir, readdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { joinLineText, MeshFolder, newInvitationSecret } from '@podmesh/authority';
import { peerId } from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import { FakeWorld } from '../fake-world.test-kit.ts';
import { announceDaemon, fakeDaemon, say } from '../home/fake-daemon.test-kit.ts';

const invitation = { id: 'inv-0123456789', role: 'peer', state: 'open', guests: [] };
const line = (server: string) =>
  joinLineText({
    servers: [server],
    fingerprint: Buffer.alloc(16),
    joinerSecret: Buffer.alloc(8),
    invitationSecret: newInvitationSecret(),
  });

describe('podmesh invite', () => {
  it('prints the line alone, and on standard error what is to be known of it', async () => {
    const world = new FakeWorld();
    const asked = await fakeDaemon(world, (_, response) =>
      say(response, 200, { line: 'podmesh1.abc@10.0.0.5:4222', invitation }),
    );
    const words = ['invite', '--role', 'user', '--expires', '2h', '--uses', '3', '--name', 'ann'];
    expect(await world.run(words)).toBe(0);
    expect(world.terminal.stdout).toBe('podmesh1.abc@10.0.0.5:4222\n');
    expect(world.terminal.stderr).toContain('podmesh revoke inv-0123456789');
    expect(asked[0]).toEqual({
      method: 'POST',
      path: '/v1/invitations',
      body: { role: 'user', lifeMs: 7_200_000, usesMax: 3, name: 'ann' },
    });
  });

  it.each([
    [['--role', 'per'], 'Did you mean peer?'],
    [['--role', 'task'], 'Give one of peer, user, anchor.'],
    [['--expires', 'soon'], 'Give a time such as'],
    [['--expires', '400d'], 'at most 365d'],
    [['--uses', '0'], 'whole number from 1 to 1000'],
    [['--uses', '1.5'], 'whole number from 1 to 1000'],
    [['--address', 'nowhere'], 'Give HOST:PORT'],
  ])('refuses %j before it asks anybody', async (words, advice) => {
    const world = new FakeWorld();
    expect(await world.run(['invite', ...words])).toBe(2);
    expect(world.terminal.stderr).toContain(advice);
  });

  it('says what the daemon says where the keys are not', async () => {
    const world = new FakeWorld();
    await fakeDaemon(world, (_, response) =>
      say(response, 409, { error: 'this machine does not hold the keys', advice: 'Elsewhere.' }),
    );
    expect(await world.run(['invite'])).toBe(1);
    expect(world.terminal.stderr).toContain('this machine does not hold the keys');
    expect(world.terminal.stderr).toContain('Elsewhere.');
  });
});

it.each([
  [true, /^lab is out of the mesh\ntasks have credentials of a new key .*\n$/],
  [undefined, /^lab is out of the mesh\n$/],
])('tells of a revocation that tasks have a new key: %s', async (newTaskKey, words) => {
  const world = new FakeWorld();
  await fakeDaemon(world, (_, response) =>
    say(response, 200, { kind: 'member', name: 'lab', newTaskKey }),
  );
  expect(await world.run(['revoke', 'lab'])).toBe(0);
  expect(world.terminal.stdout).toMatch(words);
});

it('lists invitations and members, and takes back what is named', async () => {
  const world = new FakeWorld();
  const asked = await fakeDaemon(world, ({ path }, response) => {
    if (path === '/v1/revoke') say(response, 200, { kind: 'invitation', name: invitation.id });
    else
      say(response, 200, {
        invitations: [
          {
            ...invitation,
            expiresAtMs: Date.parse('2026-01-01T00:20:00Z'),
            usesMax: 2,
            guests: [{ name: 'desk' }],
          },
        ],
      });
  });
  expect(await world.run(['invites'])).toBe(0);
  expect(world.terminal.stdout).toMatch(
    /inv-0123456789 +peer +anybody +open for 10 min +1\/2 +desk/,
  );
  expect(await world.run(['revoke', invitation.id])).toBe(0);
  expect(asked.at(-1)?.body).toEqual({ name: invitation.id });
  expect(world.terminal.stdout).toContain('who came with it stays');
  expect(await world.run(['members'])).toBe(0);
  expect(world.terminal.stdout).toContain('no members by name');
  const sinceMs = Date.parse('2025-12-24T00:00:00Z');
  const common = { role: 'peer' as const, sinceMs, certificates: ['A'], revoked: ['B'] };
  world.members = [
    { ...common, name: 'attic', revokedAtMs: Date.parse('2026-01-01T00:09:00Z') },
    { ...common, name: 'desk', seenAtMs: Date.parse('2026-01-01T00:09:50Z') },
  ];
  world.terminal.stdout = '';
  expect(await world.run(['members'])).toBe(0);
  const [, desk = '', attic = ''] = world.terminal.stdout.split('\n');
  expect(desk).toMatch(/^desk +peer +2025-12-24 +10 s ago +member$/);
  expect(attic).toMatch(/^attic +peer +2025-12-24 +never +revoked 1 min ago$/);
  world.terminal.stdout = '';
  world.anchors = {
    read: async () => ({
      generation: 2,
      anchors: ['desk', 'attic'].map((name) => ({
        ...{ peer: peerId(name), server: name, client: '10.0.0.1:4222' },
      })),
    }),
  };
  expect(await world.run(['members', '--json'])).toBe(0);
  expect(world.terminal.stdout).not.toContain('certificates');
  expect(JSON.parse(world.terminal.stdout)).toMatchObject([
    { name: 'attic', role: 'peer' },
    { name: 'desk', role: 'anchor' },
  ]);
});

describe('podmesh join', () => {
  it.each([
    ['nats://token@10.0.0.5:4222', 2, 'no join line'],
    [line('10.0.0.5:4222').slice(0, -1), 2, 'is not whole'],
    ['-', 2, 'no join line'],
  ])('refuses %s', async (words, code, said) => {
    const world = new FakeWorld();
    expect(await world.run(['join', words])).toBe(code);
    expect(world.terminal.stderr).toContain(said);
    expect(await readdir(world.home.path).catch(() => [])).toEqual([]);
  });

  it('says with 3 that nobody answers, without a word about the secrets of the line', async () => {
    const world = new FakeWorld();
    const closed = createServer();
    await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve));
    const { port } = closed.address() as { port: number };
    await new Promise((resolve) => closed.close(resolve));
    const text = line(`127.0.0.1:${port}`);
    const stdin = (async function* () {
      yield Buffer.from(`${text}\n`);
    })();
    expect(await world.run(['join', '-'], { stdin })).toBe(3);
    expect(world.terminal.stderr).toContain(`no server of the mesh answers at 127.0.0.1:${port}`);
    expect(world.terminal.stderr).not.toContain(text.slice(9, 40));
  });

  it('joins no second mesh, and none while a daemon runs', async () => {
    const world = new FakeWorld();
    await mkdir(world.home.path, { recursive: true });
    const place = { mesh: 'home', member: 'desk', servers: ['10.0.0.5:4222'] };
    await new MeshFolder(world.home.at('mesh')).setPlace(place);
    expect(await world.run(['join', line('10.0.0.5:4222')])).toBe(2);
    expect(world.terminal.stderr).toContain('already desk in the mesh home');
    expect(world.terminal.stderr).toContain(`rm -r ${world.home.at('mesh')}`);
    const other = new FakeWorld();
    await announceDaemon(other);
    expect(await other.run(['join', line('10.0.0.5:4222')])).toBe(2);
    expect(other.terminal.stderr).toContain('podmesh down');
  });

  it('without a line lists what tells of itself, and joins nothing', async () => {
    const world = new FakeWorld();
    const daemon = {
      ...world.world().daemon,
      discover: async (waitMs: number) => [
        { mesh: 'home', peer: 'desk', servers: [`10.0.0.5:${waitMs}`] },
      ],
    };
    expect(await world.run(['join', '--wait', 'long'], { daemon })).toBe(2);
    expect(await world.run(['join', '--wait', '3s'], { daemon })).toBe(0);
    expect(world.terminal.stdout).toMatch(/home +desk +10.0.0.5:3000/);
    expect(await readdir(world.home.path).catch(() => [])).toEqual([]);
    expect(await world.run(['join'])).toBe(0);
    expect(world.terminal.stdout).toContain('no mesh tells of itself');
  });
});

describe('podmesh up --join', () => {
  it('joins nothing when this home is a member of that mesh, and refuses a line that is none', async () => {
    const world = new FakeWorld();
    const started: string[][] = [];
    const daemon = {
      ...world.world().daemon,
      startInBackground: async (words: readonly string[]) => {
        started.push([...words]);
        return { peer: 'desk', nats: 'mesh:/x' };
      },
    };
    expect(await world.run(['up', '--detach', '--join', 'x'], { daemon })).toBe(2);
    expect(started).toEqual([]);
    const words = ['up', '--detach', '--listen', '0.0.0.0', '--no-discovery', '--auto-anchors'];
    expect(await world.run(words, { daemon })).toBe(0);
    expect(started).toEqual([['--listen', '0.0.0.0', '--no-discovery', '--auto-anchors']]);
  });
});
