import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MeshFolder } from '@podmesh/authority';
import { type AnchorRecord, PortError, peerId } from '@podmesh/core';
import { samplePeer } from '@podmesh/testkit';
import { expect, it } from 'vitest';
import { FakeWorld } from '../fake-world.test-kit.ts';
import { fakeDaemon, say } from '../home/fake-daemon.test-kit.ts';

const RECORD: AnchorRecord = {
  generation: 2,
  cluster: 'c',
  anchors: ['ann', 'bob', 'cid'].map((name, number) => ({
    peer: peerId(name),
    server: `${name}-server`,
    client: `10.0.0.${number + 1}:4222`,
    route: `10.0.0.${number + 1}:6222`,
  })),
};
const ALONE: AnchorRecord = { generation: 1, anchors: RECORD.anchors.slice(0, 1) };

async function worldOf(record: AnchorRecord, ...silent: readonly string[]): Promise<FakeWorld> {
  const world = new FakeWorld();
  world.anchors = { read: async () => record };
  for (const { peer, client } of record.anchors)
    if (!silent.includes(peer)) world.servers.set(client, { version: '2.15.1' });
  for (const name of ['ann', 'bob', 'cid', 'laptop'])
    await world.others.peers.announce({
      ...samplePeer(name),
      hardware: { cpuFlags: [], gpus: [], battery: name === 'laptop' },
      keeps: { freeBytes: 0, host: `host of ${name}` },
      standing: { uptimeSeconds: 1e6, freeDiskBytes: 1e12, serverVersion: '2.15.1', clockMs: 0 },
    });
  return world;
}

it('shows who carries the mesh, what it survives, and why who is proposed', async () => {
  const world = await worldOf(ALONE);
  expect(await world.run(['anchors'])).toBe(0);
  const { stdout } = world.terminal;
  expect(stdout).toContain('10.0.0.1:4222');
  expect(stdout).toContain('one anchor: the only copy');
  expect(stdout).toContain('podmesh anchors set ann bob cid');
  expect(stdout).toContain('laptop: has a battery');
});

it('says who does not answer, and that nobody better is there', async () => {
  const world = await worldOf(RECORD, 'bob');
  expect(await world.run(['anchors'])).toBe(0);
  expect(world.terminal.stdout).toContain('does not answer');
  expect(world.terminal.stdout).toContain('survives no further loss; bob does not answer');
  expect(world.terminal.stdout).toContain('nobody better is there');
});

it('changes them through the daemon of this home, and tells how it goes', async () => {
  const world = await worldOf(ALONE);
  const told = ['gathered', 'paused 600 ms'];
  const asked = await fakeDaemon(world, ({ method }, response) =>
    say(response, 200, { told: method === 'POST' ? 'begun' : told.shift() }),
  );
  expect(await world.run(['anchors', 'set', 'ann', 'bob', 'cid'])).toBe(0);
  expect(asked[0]).toEqual({
    method: 'POST',
    path: '/v1/anchors',
    body: { anchors: ['ann', 'bob', 'cid'] },
  });
  expect(world.terminal.stderr).toContain('gathered');
  expect(world.terminal.stdout).toContain('paused 600 ms');
});

it('is not told of the end of another change that took the place of its own', async () => {
  const world = await worldOf(ALONE);
  await fakeDaemon(world, ({ method }, response) =>
    say(
      response,
      200,
      method === 'POST' ? { told: 'begun', change: 1 } : { told: 'done', change: 2 },
    ),
  );
  expect(await world.run(['anchors', 'set', 'ann', 'bob', 'cid'])).not.toBe(0);
  expect(world.terminal.stderr).toContain(
    'another change of the anchors took the place of this one',
  );
  expect(world.terminal.stdout).toBe('');
});

it('waits for nothing where there was nothing to do', async () => {
  const world = await worldOf(ALONE);
  const asked = await fakeDaemon(world, (_, response) =>
    say(response, 200, { told: 'nothing', change: 0 }),
  );
  expect(await world.run(['anchors', 'set', 'ann', 'bob', 'cid'])).toBe(0);
  expect(asked.map(({ method }) => method)).toEqual(['POST']);
});

it.each([
  [RECORD, ['ann'], true],
  [ALONE, ['ann', 'bob', 'cid'], false],
])('warns where --auto-anchors would make more of them again: %#', async (record, names, warns) => {
  const world = await worldOf(record);
  await fakeDaemon(world, ({ method }, response) =>
    say(response, 200, { told: method === 'POST' ? 'begun' : 'done', growsAgain: true }),
  );
  expect(await world.run(['anchors', 'set', ...names])).toBe(0);
  expect(world.terminal.stderr.includes('--auto-anchors makes them more again')).toBe(warns);
});

it.each([
  [
    ['replace', 'bob', 'laptop'],
    ['ann', 'cid', 'laptop'],
  ],
  [
    ['retire', 'bob'],
    ['ann', 'cid', 'dan'],
  ],
  [
    ['retire', 'bob', 'laptop'],
    ['ann', 'cid', 'laptop'],
  ],
])('%j gives the place to another', async (words, anchors) => {
  const world = await worldOf(RECORD);
  await world.others.peers.announce({
    ...samplePeer('dan'),
    keeps: { freeBytes: 0, host: 'host of dan' },
    standing: { uptimeSeconds: 1e6, freeDiskBytes: 1e12, serverVersion: '2.15.1', clockMs: 0 },
  });
  const asked = await fakeDaemon(world, ({ method }, response) =>
    say(response, 200, { told: method === 'POST' ? 'begun' : 'done' }),
  );
  expect(await world.run(['anchors', ...words])).toBe(0);
  expect(asked[0]?.body).toEqual({ anchors });
});

it('takes a laptop that is named, and says what that means', async () => {
  const world = await worldOf(ALONE);
  const asked = await fakeDaemon(world, ({ method }, response) =>
    say(response, 200, { told: method === 'POST' ? 'begun' : 'paused 1 ms' }),
  );
  expect(await world.run(['anchors', 'set', 'ann', 'bob', 'laptop'])).toBe(0);
  expect(asked[0]?.body).toEqual({ anchors: ['ann', 'bob', 'laptop'] });
  expect(world.terminal.stderr).toMatch(/^laptop has a battery, and is taken because you say so/);
});

it('says who could take the place of one that does not answer, and how', async () => {
  const world = await worldOf(RECORD, 'bob');
  await world.run(['anchors']);
  expect(world.terminal.stdout).toContain('podmesh anchors replace bob NEW');
});

it('lets an anchor stay that is not there while another one is replaced', async () => {
  const more = RECORD.anchors.slice(0, 2).map((anchor, number) => ({
    ...anchor,
    peer: peerId(['gone', 'away'][number] ?? ''),
  }));
  const world = await worldOf({ ...RECORD, anchors: [...RECORD.anchors, ...more] });
  const asked = await fakeDaemon(world, ({ method }, response) =>
    say(response, 200, { told: method === 'POST' ? 'begun' : 'done' }),
  );
  expect(await world.run(['anchors', 'replace', 'gone', 'laptop'])).toBe(0);
  expect(asked[0]?.body).toEqual({ anchors: ['ann', 'bob', 'cid', 'away', 'laptop'] });
});

it('says what to do where the keys of the mesh are not', async () => {
  const world = await worldOf(ALONE);
  await fakeDaemon(world, (_, response) =>
    say(response, 409, {
      error: 'the keys of the mesh are not on this machine',
      advice: 'Do it there.',
    }),
  );
  expect(await world.run(['anchors', 'set', 'ann', 'bob', 'cid'])).toBe(1);
  expect(world.terminal.stderr).toContain('the keys of the mesh are not on this machine');
  expect(world.terminal.stderr).toContain('Do it there.');
});

it.each([
  [['set', 'ann', 'bob'], 'an even number survives no more'],
  [['set', 'ann', 'bob', 'nobody'], 'no peer "nobody" is there'],
  [['unset'], 'knows no "unset"'],
  [['replace', 'ann'], 'takes other words'],
  [['replace', 'bob', 'cid'], 'bob is no anchor'],
  [['retire'], 'takes other words'],
])('refuses %j', async (words, message) => {
  const world = await worldOf(ALONE);
  expect(await world.run(['anchors', ...words])).toBe(2);
  expect(world.terminal.stderr).toContain(message);
});

it('tells why they stay what they were', async () => {
  const world = await worldOf(ALONE);
  await fakeDaemon(world, ({ method }, response) =>
    say(response, 200, { told: method === 'POST' ? 'begun' : 'failed: bob has no room' }),
  );
  expect(await world.run(['anchors', 'set', 'ann', 'bob', 'cid'])).toBe(1);
  expect(world.terminal.stderr).toContain('the anchors stay what they were: bob has no room');
});

it('doctor says what the mesh survives, and warns of clocks, disks and versions', async () => {
  const world = await worldOf(RECORD, 'ann');
  world.servers.set('10.0.0.3:4222', { version: '2.14.0' });
  const standing = { uptimeSeconds: 1, freeDiskBytes: 1e6, clockMs: 5_000 };
  await world.others.peers.announce({
    ...samplePeer('late'),
    standing,
    heardAtMs: 0,
  });
  for (const name of ['ann', 'bob'])
    await world.others.peers.announce({
      ...samplePeer(name),
      standing: { ...standing, freeDiskBytes: 1e12, clockMs: 100 },
      heardAtMs: 0,
    });
  expect(await world.run(['doctor'])).toBe(1);
  const { stdout } = world.terminal;
  expect(stdout).toContain('the mesh survives no further loss; ann does not answer');
  expect(stdout).toContain('bob (2.15.1) unlike cid (2.14.0)');
  expect(stdout).toContain('late is 4.9 s fast');
  expect(stdout).toContain('late has 0 MiB left');
});

it('asks the daemon of this home to go on without those that are lost, and says what that means', async () => {
  const world = await worldOf(RECORD);
  const asked = await fakeDaemon(world, ({ method }, response) =>
    say(response, 200, { told: method === 'POST' ? 'begun' : 'done' }),
  );
  expect(await world.run(['anchors', 'rescue', '--lost', 'bob,cid'])).toBe(0);
  expect(asked[0]?.body).toEqual({ lost: ['bob', 'cid'] });
  expect(world.terminal.stdout).toContain('without bob, cid');
  expect(world.terminal.stdout).toContain('What others than this machine had stored');
  expect(world.terminal.stdout).toContain('keeps what it had, in the folder nats/over-gN');
  expect(world.terminal.stdout).toContain('must not come back with their old disks');
});

it.each([true, false])(
  'says of a rescue first where the keys are missing (here: %s)',
  async (isHere) => {
    const world = await worldOf(RECORD);
    await mkdir(world.home.at('authority'), { recursive: true });
    if (isHere) await writeFile(world.home.at('authority', 'keys.json'), '{}');
    let said = '';
    await fakeDaemon(world, ({ method }, response) => {
      if (method === 'POST') said = world.terminal.stderr;
      say(response, 200, { told: method === 'POST' ? 'begun' : 'done' });
    });
    expect(await world.run(['anchors', 'rescue', '--lost', 'bob,cid'])).toBe(0);
    expect(said.includes('the keys of the mesh are not here')).toBe(!isHere);
  },
);

it('notes a rescue for the next daemon where none runs, since none comes up', async () => {
  const world = await worldOf(RECORD);
  expect(await world.run(['anchors', 'rescue', '--lost', 'bob,cid'])).not.toBe(0);
  expect(world.terminal.stderr).toContain('there is nothing to rescue');
  await mkdir(world.home.at('nats'), { recursive: true });
  await writeFile(world.home.at('nats', 'seat.json'), '{}');
  expect(await world.run(['anchors', 'rescue', '--lost', 'bob,cid'])).toBe(0);
  expect(world.terminal.stdout).toContain('as soon as it is started, it goes on without bob, cid');
  expect(JSON.parse(await readFile(world.home.at('nats', 'rescue.json'), 'utf8'))).toEqual({
    lost: ['bob', 'cid'],
  });
});

it.each([
  [['rescue']],
  [['rescue', 'bob', 'cid']],
  [['set', 'ann', '--lost', 'bob,cid']],
  [['--lost', 'bob,cid']],
])('rescues nothing for %j', async (words) => {
  const world = await worldOf(RECORD);
  expect(await world.run(['anchors', ...words])).toBe(2);
  expect(world.terminal.stderr).toContain('podmesh anchors rescue --lost PEER,PEER');
});

it('tells of a mesh that stands still who answers, as far as this home heard, and what helps', async () => {
  const world = await worldOf(RECORD, 'bob', 'cid');
  const folder = join(world.directory, 'mesh');
  const mesh = new MeshFolder(folder);
  await mesh.setPlace({ mesh: 'm', member: 'ann', servers: ['10.0.0.1:4222'] });
  await mesh.setAnchors(RECORD);
  const connect = async () => {
    throw new PortError('the mesh stands still', { retryable: true });
  };
  const env = { PODMESH_NATS: `mesh:${folder}` };
  expect(await world.run(['anchors'], { connect, env })).toBe(3);
  const { stdout, stderr } = world.terminal;
  expect(stdout).toMatch(/cid +10\.0\.0\.3:4222 +does not answer/);
  expect(stdout).toContain('1 of 3 anchors answer, 2 are needed');
  expect(stdout).toContain('podmesh anchors rescue --lost bob,cid');
  expect(stderr).toContain('the mesh stands still');
});
