import { type PeerOrder, type PeerOrderAnswer, peerId, type SleepingPeer } from '@podmesh/core';
import { samplePeer } from '@podmesh/testkit';
import { describe, expect, it, onTestFinished } from 'vitest';
import { FakeWorld } from '../fake-world.test-kit.ts';

const HOME = '192.168.1.0/24';
const LINK = { mac: '00:11:22:33:44:55', network: HOME };

const asleep = (changes: Partial<SleepingPeer> = {}): SleepingPeer => ({
  peer: peerId('attic'),
  hostname: 'attic.lan',
  since: '2026-11-22T01:00:00Z',
  offering: { capacity: samplePeer().capacity, arch: 'x86_64', labels: [], runtimes: ['crun'] },
  links: [LINK],
  quiet: [],
  timeZone: 'UTC',
  ...changes,
});

/** Awake peers by name: what each answers; `wakes`: and the machine comes. */
async function newWorld(
  peers: Readonly<Record<string, PeerOrderAnswer | 'wakes'>>,
  sleeper: Partial<SleepingPeer> = {},
  networks: readonly string[] = [HOME],
) {
  const world = new FakeWorld();
  const { others } = world;
  await others.sleepers.note(asleep(sleeper));
  const told: (PeerOrder & { readonly to: string })[] = [];
  const stop = new AbortController();
  onTestFinished(() => stop.abort());
  for (const [name, does] of Object.entries(peers)) {
    const entry = { ...samplePeer(), peer: peerId(name), networks };
    await others.peers.announce(entry);
    const obey = async (order: PeerOrder) => {
      told.push({ ...order, to: name });
      if (does !== 'wakes') return does as Exclude<PeerOrderAnswer, { kind: 'silent' }>;
      await others.peers.announce({ ...samplePeer(), peer: peerId('attic') });
      return { kind: 'done' } as const;
    };
    void others.orders.serve(entry.peer, obey, stop.signal);
  }
  return { world, told };
}

describe('podmesh wake', () => {
  it('has one peer of its network send the packet, and waits until the machine is there', async () => {
    const { world, told } = await newWorld({ oak: 'wakes' });
    expect(await world.run(['wake', 'attic.lan'])).toBe(0);
    expect(told).toEqual([{ kind: 'wake', sleeper: 'attic', by: 'me@here', to: 'oak' }]);
    expect(world.terminal.stdout).toBe('attic is awake; oak called it\n');
    world.terminal.stdout = '';
    expect(await world.run(['wake', 'attic', '--json'])).toBe(0);
    expect(JSON.parse(world.terminal.stdout)).toEqual([{ peer: 'attic', state: 'awake' }]);
    expect(told).toHaveLength(1);
  });

  it('asks the next where one refuses, and says what each said where all do', async () => {
    const refused = { kind: 'refused', message: 'no\u001b network' } as const;
    const one = await newWorld({ oak: refused, pine: 'wakes' });
    expect(await one.world.run(['wake', 'attic'])).toBe(0);
    expect(one.told.map(({ to }) => to)).toEqual(['oak', 'pine']);
    const other = await newWorld({ oak: refused });
    expect(await other.world.run(['wake', 'attic'])).toBe(1);
    expect(other.world.terminal.stdout).toMatch(/^attic was not called: oak: no.* network\n$/);
    expect(other.world.terminal.stdout).not.toContain('\u001b');
  });

  it('says what to check when the machine does not come', async () => {
    const { world } = await newWorld({ oak: { kind: 'done' } });
    expect(await world.run(['wake', 'attic', '--timeout', '1s'])).toBe(1);
    for (const words of ['called by oak', 'BIOS', 'cable', 'ethtool -s CARD wol g'])
      expect(world.terminal.stdout).toContain(words);
  });

  it('ends its wait with Ctrl-C, and does not wait when detached', async () => {
    const { world, told } = await newWorld({ oak: { kind: 'done' } });
    expect(await world.run(['wake', 'attic', '--detach'])).toBe(0);
    expect(world.terminal.stdout).toContain('oak called attic');
    const code = world.run(['wake', 'attic']);
    await expect.poll(() => told).toHaveLength(2);
    world.interrupt();
    expect(await code).toBe(1);
  });

  it.each<[string, Partial<SleepingPeer>, readonly string[], string]>([
    ['its owner forbids it', { forbids: 'wake: false' }, [HOME], 'nobody may wake it: wake: false'],
    ['it has no card', { links: [] }, [HOME], 'no wired network card'],
    ['nobody is in its network', {}, ['10.0.0.0/8'], `no awake peer is in its network (${HOME})`],
  ])('calls nobody where %s', async (_, sleeper, networks, words) => {
    const { world, told } = await newWorld({ oak: 'wakes' }, sleeper, networks);
    expect(await world.run(['wake', 'attic'])).toBe(1);
    expect(world.terminal.stdout).toContain(words);
    expect(told).toEqual([]);
  });

  it('names those who sleep where nobody is called so', async () => {
    const { world } = await newWorld({ oak: 'wakes' });
    expect(await world.run(['wake', 'barn'])).toBe(2);
    expect(world.terminal.stderr).toContain('Asleep are: attic');
    await world.others.sleepers.forget(peerId('attic'));
    expect(await world.run(['wake', 'attic'])).toBe(2);
    expect(world.terminal.stderr).toContain('Nobody said that it sleeps');
  });
});

describe('podmesh peers', () => {
  it('shows who sleeps, since when, and how it is woken or why not', async () => {
    const { world } = await newWorld({ oak: 'wakes' });
    const attic = async () => {
      world.terminal.stdout = '';
      expect(await world.run(['peers'])).toBe(0);
      return world.terminal.stdout.split('\n').find((line) => line.startsWith('attic'));
    };
    expect(await attic()).toMatch(
      /^attic +attic\.lan +linux\/amd64 +0\/.* crun +- +asleep since 2026-11-22T01:00:00Z; wake it: podmesh wake attic$/,
    );
    const calls = { count: 2, by: peerId('oak') };
    await world.others.sleepers.note(asleep({ forbids: 'wake: false', calls }));
    expect(await attic()).toContain('(called: 2, last by oak); nobody may wake it: wake: false');
    await world.others.sleepers.note(asleep({ links: [] }));
    expect(await attic()).toContain('no network card');
    world.terminal.stdout = '';
    expect(await world.run(['peers', '--json'])).toBe(0);
    const told = JSON.parse(world.terminal.stdout) as { peer: string; asleep?: object }[];
    expect(told.map(({ peer }) => peer)).toEqual(['oak', 'attic']);
    expect(told[1]?.asleep).toMatchObject({ hostname: 'attic.lan' });
    // Awake, whatever an old note says.
    await world.others.peers.announce({ ...samplePeer(), peer: peerId('attic') });
    expect(await attic()).not.toContain('asleep');
  });
});
