import { describe, expect, it } from 'vitest';
import { peerId } from '../words/ids.ts';
import { type AnchorRecord, parseAnchorRecord } from './anchor-record.ts';
import { planAnchors } from './plan-anchors.ts';
import { type AnchorCandidate, proposeAnchors, steadiestBeside } from './propose-anchors.ts';
import { lossesLeft, survivalOf } from './survival.ts';

const HOUR = 3_600;
const candidate = (name: string, more: Partial<AnchorCandidate> = {}): AnchorCandidate => ({
  peer: peerId(name),
  host: `host of ${name}`,
  battery: false,
  serverVersion: '2.15.1',
  uptimeSeconds: 100 * HOUR,
  freeDiskBytes: 100 * 2 ** 30,
  isAnchor: false,
  ...more,
});
const names = (count: number): AnchorCandidate[] =>
  Array.from({ length: count }, (_, number) =>
    candidate(`p${number}`, { uptimeSeconds: (100 - number) * HOUR }),
  );

describe('which peers are proposed as anchors', () => {
  it('is the steadiest three, the longest up first', () => {
    const { anchors, opinions } = proposeAnchors(names(5).reverse());
    expect(anchors).toEqual(['p0', 'p1', 'p2']);
    expect(opinions.map(({ peer }) => peer)).toEqual(['p0', 'p1', 'p2', 'p3', 'p4']);
    expect(opinions[4]?.reason).toMatch(/up for 2 days|up for 4 days.*3 are enough/);
  });

  it.each([
    [1, 1],
    [2, 1],
    [3, 3],
    [4, 3],
    [6, 3],
    [7, 5],
    [30, 5],
  ])('of %d steady machines are %d', (peers, anchors) => {
    expect(proposeAnchors(names(peers)).anchors).toHaveLength(anchors);
  });

  it('is no laptop, however long it has been up, with the reason', () => {
    const laptop = candidate('laptop', { battery: true, uptimeSeconds: 10_000 * HOUR });
    const { anchors, opinions } = proposeAnchors([laptop, ...names(3)]);
    expect(anchors).not.toContain('laptop');
    expect(opinions[0]).toEqual({
      peer: 'laptop',
      chosen: false,
      isSuitable: false,
      reason: 'has a battery: laptops are carried away and closed',
    });
    expect(proposeAnchors([laptop, ...names(2)]).anchors).toHaveLength(1);
  });

  it('is the laptop while it is alone, and stays where the only copy is', () => {
    const laptop = candidate('laptop', { battery: true, isAnchor: true });
    expect(proposeAnchors([laptop]).anchors).toEqual(['laptop']);
    expect(proposeAnchors([laptop, ...names(2)]).anchors).toEqual(['laptop']);
    expect(proposeAnchors([laptop, ...names(3)]).anchors).toEqual(['p0', 'p1', 'p2']);
  });

  it.each([
    [{ serverVersion: undefined }, /no nats-server/],
    [{ freeDiskBytes: 2 ** 30 }, /1.0 GiB of free disk/],
    [{ uptimeSeconds: 120 }, /up for 2 min only/],
    [{ uptimeSeconds: undefined }, /does not tell/],
    [{ host: 'host of p1' }, /same machine as p1/],
  ])('is none with %j', (flaw, reason) => {
    const flawed = { ...candidate('flawed', { uptimeSeconds: 1.5 * HOUR }), ...flaw };
    const { anchors, opinions } = proposeAnchors([flawed as AnchorCandidate, ...names(2)]);
    expect(anchors).toHaveLength(1);
    expect(opinions.find(({ peer }) => peer === 'flawed')?.reason).toMatch(reason);
  });

  it('keeps the anchors that there are, also those that were started again just now', () => {
    const now = ['x', 'y', 'z'].map((name) =>
      candidate(name, { isAnchor: true, uptimeSeconds: 60 }),
    );
    expect([...proposeAnchors([...names(3), ...now]).anchors].sort()).toEqual(['x', 'y', 'z']);
  });
});

describe('who takes the place of one that goes', () => {
  it('is the steadiest that is none yet, also where fewer would be taken together', () => {
    const taken = ['p0'].map(peerId);
    expect(steadiestBeside(names(2), taken)).toBe('p1');
    expect(steadiestBeside([candidate('laptop', { battery: true }), ...names(1)], taken)).toBe(
      undefined,
    );
  });
});

const record = (...peers: string[]): AnchorRecord => ({
  generation: 4,
  ...(peers.length > 1 ? { cluster: 'c' } : {}),
  anchors: peers.map((name) => ({
    peer: peerId(name),
    server: `s-${name}`,
    client: '10.0.0.1:4222',
    route: '10.0.0.1:6222',
  })),
});
const plan = (now: readonly string[], wanted: readonly string[]) =>
  planAnchors(record(...now), wanted.map(peerId));

describe('how anchors are changed', () => {
  it('copies between one and several, and exchanges within a cluster', () => {
    expect(plan(['a'], ['a', 'b', 'c'])).toEqual({
      ok: true,
      value: { kind: 'copy', anchors: ['a', 'b', 'c'] },
    });
    expect(plan(['a'], ['b', 'c', 'd'])).toMatchObject({ value: { kind: 'copy' } });
    expect(plan(['a', 'b', 'c'], ['a', 'd', 'c'])).toMatchObject({
      value: { kind: 'exchange', join: ['d'], leave: ['b'] },
    });
    expect(plan(['a', 'b', 'c'], ['c', 'a', 'b'])).toMatchObject({ value: { kind: 'nothing' } });
    expect(plan(['a', 'b', 'c'], ['a', 'b', 'c', 'd', 'e'])).toMatchObject({
      value: { kind: 'exchange', join: ['d', 'e'], leave: [] },
    });
    expect(plan(['a', 'b', 'c', 'd', 'e'], ['a', 'f', 'c'])).toMatchObject({
      value: { kind: 'exchange', join: ['f'], leave: ['b', 'd', 'e'] },
    });
  });

  it('refuses numbers that make no sense, and peers that are named twice', () => {
    for (const wanted of [[], ['a', 'b'], ['a', 'b', 'c', 'd'], ['a', 'a', 'b'], ['b']])
      expect(plan(['a'], wanted).ok).toBe(false);
    expect(plan(['a', 'b', 'c'], ['d'])).toMatchObject({
      error: expect.stringContaining('podmesh anchors retire PEER d'),
    });
  });

  it('gathers everything where one of several is to stay', () => {
    expect(plan(['a', 'b', 'c'], ['b'])).toEqual({ ok: true, value: { kind: 'gather', at: 'b' } });
    expect(plan(['a', 'b', 'c', 'd', 'e'], ['a'])).toMatchObject({ value: { kind: 'gather' } });
  });
});

describe('the record of anchors', () => {
  it('survives the way through JSON', () => {
    const one = record('a', 'b', 'c');
    expect(parseAnchorRecord(JSON.parse(JSON.stringify(one)))).toEqual(one);
  });

  it.each([
    undefined,
    'x',
    {},
    { generation: 0, anchors: record('a').anchors },
    { generation: 1.5, anchors: record('a').anchors },
    { generation: 1, anchors: [] },
    { generation: 1, anchors: [{ peer: 'a b', server: 's', client: 'h:1' }] },
    { generation: 1, anchors: [{ peer: 'a', server: 's', client: 'token@h:1' }] },
    { generation: 1, anchors: [{ peer: 'a', server: 's', client: 'h:1', route: 7 }] },
    { generation: 1, cluster: '"; include', anchors: record('a').anchors },
  ])('is not %j', (said) => {
    expect(parseAnchorRecord(said)).toBeUndefined();
  });
});

describe('what a mesh survives', () => {
  it.each([
    [1, 1, 0],
    [2, 2, 0],
    [3, 3, 1],
    [3, 2, 0],
    [3, 1, -1],
    [5, 5, 2],
    [5, 2, -1],
  ])('of %d anchors with %d alive: %d', (total, alive, left) => {
    expect(lossesLeft(total, alive)).toBe(left);
  });

  it('is said in words, with what to do', () => {
    expect(survivalOf(1, []).found).toContain('the only copy');
    expect(survivalOf(3, []).found).toContain('survives one more loss');
    expect(survivalOf(5, []).found).toContain('survives 2 more losses');
    expect(survivalOf(2, [])).toMatchObject({ ok: false });
    const one = survivalOf(3, ['bob']);
    expect(one.found).toContain('survives no further loss; bob does not answer');
    expect(one.repair).toBe(
      'Start bob again, or give its place to another: podmesh anchors replace bob NEW',
    );
    expect(survivalOf(3, ['bob'], false).repair).toBe('Start bob again');
    expect(survivalOf(4, []).repair).toContain('podmesh anchors set with 3 of them');
    expect(survivalOf(4, [], false).repair).not.toContain('podmesh');
    expect(survivalOf(1, [], false).repair).toBeUndefined();
    const two = survivalOf(3, ['ann', 'bob']);
    expect(two.ok).toBe(false);
    expect(two.found).toContain('1 of 3 anchors answer, 2 are needed: the mesh stands still');
    expect(two.repair).toContain('Bring one of them back');
    expect(two.repair).toContain('podmesh anchors rescue --lost ann,bob');
    expect(survivalOf(3, ['ann', 'bob'], false).repair).not.toContain('podmesh');
  });
});
