import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { digestOf } from '../run/run-fixture.test-kit.ts';
import { peerId } from '../words/ids.ts';
import { chooseKeepers, type KeeperCandidate, type KeepNeed } from './choose-keepers.ts';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

const peer = (name: string, more: Partial<KeeperCandidate> = {}): KeeperCandidate => ({
  peer: peerId(name),
  host: `host of ${name}`,
  freeBytes: 1_000,
  ...more,
});
const choose = (peers: readonly KeeperCandidate[], need: Partial<KeepNeed> = {}) =>
  chooseKeepers(
    peers,
    { artifact: digestOf('a'), bytes: 10, copies: 2, holders: [peerId('me')], ...need },
    sha256,
  );

describe('chooseKeepers', () => {
  it('takes as many as are short, and no holder', () => {
    const peers = ['me', 'b', 'c', 'd'].map((name) => peer(name));
    expect(choose(peers).keepers).toHaveLength(1);
    expect(choose(peers, { copies: 3 }).keepers).toHaveLength(2);
    expect(choose(peers, { copies: 3 }).keepers).not.toContain('me');
    expect(choose(peers, { copies: 1 })).toEqual({ keepers: [] });
  });

  it('prefers who is there for it, then an anchor', () => {
    const peers = [peer('b'), peer('anchor', { roles: ['anchor'] })];
    expect(choose(peers).keepers).toEqual(['anchor']);
    expect(choose([...peers, peer('store', { roles: ['store'] })]).keepers).toEqual(['store']);
  });

  it('prefers another machine, and says when there is none', () => {
    const twin = peer('twin', { host: 'host of me', roles: ['store'] });
    expect(choose([peer('me'), twin, peer('b')])).toEqual({ keepers: ['b'] });
    expect(choose([peer('me'), twin])).toEqual({
      keepers: ['twin'],
      short: 'all copies are on one machine',
    });
  });

  it('takes two new keepers from two machines', () => {
    const peers = [
      peer('me'),
      peer('b', { host: 'x' }),
      peer('c', { host: 'x' }),
      peer('d', { host: 'y' }),
    ];
    const { keepers } = choose(peers, { copies: 3 });
    expect(keepers).toHaveLength(2);
    expect(keepers).toContain('d');
  });

  it.each([
    ['nobody else', [peer('me')], 'no other peer is in the mesh'],
    [
      'no room',
      [peer('b', { freeBytes: 10 })],
      '1 other peer is in the mesh, and 0 of them have room',
    ],
    ['nothing for others', [{ peer: peerId('b') }], 'have room'],
  ])('says what it lacks: %s', (_, peers, short) => {
    const choice = choose(peers);
    expect(choice.keepers).toEqual([]);
    expect(choice.short).toContain(short);
  });

  it('spreads what is alike over all peers, the same for every driver', () => {
    const peers = Array.from({ length: 5 }, (_, at) => peer(`p${at}`));
    const counts = new Map<string, number>();
    for (let at = 0; at < 500; at += 1) {
      const artifact = digestOf(`artifact ${at * 7919}`);
      const [first = ''] = choose(peers, { artifact }).keepers;
      expect(choose([...peers].reverse(), { artifact }).keepers).toEqual([first]);
      counts.set(first, (counts.get(first) ?? 0) + 1);
    }
    expect(counts.size).toBe(5);
  });
});
