import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MeshFolder } from '@podmesh/authority';
import { type AnchorRecord, parseAnchorRecord, peerId } from '@podmesh/core';
import type { EmbeddedNatsServer } from '@podmesh/jetstream';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../store/store.test-kit.ts';
import { AnchorSeat } from './anchor-seat.ts';

/** The seat of a home whose file says this, with servers that only count how often they were started. */
async function newSeat(said?: object | string, superseding?: AnchorRecord) {
  const folder = join(await temporaryFolder(), 'nats');
  const file = join(folder, 'seat.json');
  await mkdir(folder);
  if (said !== undefined)
    await writeFile(file, typeof said === 'string' ? said : JSON.stringify(said));
  const mesh = new MeshFolder(join(folder, '..', 'mesh'));
  const keptAt: string[] = [];
  const seat = new AnchorSeat({
    ...{ file, folder, peer: peerId('new-name'), env: {} },
    mesh,
    supersededBy: async () => superseding,
    listen: { host: '127.0.0.1', port: 0 },
    onEvent: () => undefined,
    onKept: (kept) => void keptAt.push(kept),
  });
  const started: string[] = [];
  const counted = (name: string) => async () =>
    ({
      name,
      served: '127.0.0.1:4222',
      start: async () => void started.push(name),
      stop: async () => undefined,
    }) as unknown as EmbeddedNatsServer;
  seat.servers.alone = counted('alone');
  seat.servers.member = counted('member');
  return { seat, started, mesh, folder, keptAt };
}

const anchor = { peer: 'old-name', server: 'alone', client: '127.0.0.1:4000' };

it('a server that is alone is started whatever its peer was called before, and is told by its new name', async () => {
  const { seat, started } = await newSeat({
    kind: 'open',
    record: { generation: 1, anchors: [anchor] },
  });
  await seat.start(true);
  expect(started).toEqual(['alone']);
  expect(seat.record?.anchors).toEqual([
    { peer: 'new-name', server: 'alone', client: '127.0.0.1:4222' },
  ]);
});

it('a home that is no anchor of its cluster starts no server', async () => {
  const record = { generation: 2, cluster: 'c', anchors: [{ ...anchor, route: '127.0.0.1:6000' }] };
  const { seat, started } = await newSeat({ kind: 'open', record });
  await seat.start(true);
  expect([started, seat.server]).toEqual([[], undefined]);
});

it('a server that is in no record any more serves, also after a start, until all it has is elsewhere', async () => {
  const self = {
    ...{ peer: 'new-name', server: 'new-name-g2-00aa11', client: '127.0.0.1:4000' },
    route: '127.0.0.1:6000',
  };
  const record = { generation: 2, cluster: 'c', anchors: [self] };
  const { seat, started, mesh } = await newSeat({ kind: 'open', record });
  const next = parseAnchorRecord({ generation: 3, cluster: 'c', anchors: [anchor] });
  if (next === undefined) throw new Error('no record');
  await mesh.setPlace({ mesh: 'home', member: 'new-name', servers: ['127.0.0.1:4000'] });
  await mesh.setAnchors(next);
  await seat.start(true);
  await seat.confirm(next);
  expect([started, seat.record?.generation]).toEqual([['member'], 2]);
  await seat.confirm(next, true);
  expect([seat.seat.kind, seat.server]).toEqual(['none', undefined]);
});

describe('a server that joined', () => {
  const self = {
    ...{ peer: 'new-name', server: 'new-name-g3-00aa11', client: '127.0.0.1:4000' },
    route: '127.0.0.1:6000',
  };
  const others = (generation: number, cluster = 'c') => {
    const record = parseAnchorRecord({ generation, cluster, anchors: [anchor] });
    if (record === undefined) throw new Error('no record');
    return record;
  };
  /** For generation 3 of a cluster. */
  async function joined() {
    const record = { ...others(3), anchors: [anchor, self] };
    const made = await newSeat({ kind: 'joining', record, self, mover: 'old-name' });
    const store = join(made.folder, 'g3', 'jetstream');
    await mkdir(store, { recursive: true });
    await made.seat.start(false);
    const hasStore = async () => (await readdir(made.folder)).includes('g3');
    return { ...made, hasStore };
  }

  it.each([4, 3])(
    'and is not in record %d of its cluster may have been the truth, and goes only when it may',
    async (generation) => {
      const { seat, hasStore } = await joined();
      await seat.confirm(others(2));
      expect(seat.seat.kind).toBe('joining');
      await seat.confirm(others(generation));
      // As whoever was dismissed: looked after until it is taken out of the cluster.
      expect(seat.seat).toMatchObject({ kind: 'open', record: { anchors: [anchor, self] } });
      expect([seat.server?.name, await hasStore()]).toEqual(['member', true]);
      await seat.confirm(others(generation));
      expect([seat.server?.name, await hasStore()]).toEqual(['member', true]);
      await seat.confirm(others(generation), true);
      expect([seat.seat.kind, seat.server, await hasStore()]).toEqual(['none', undefined, false]);
    },
  );

  it('and is told to leave goes at once', async () => {
    const { seat, hasStore } = await joined();
    await seat.confirm(others(4), true);
    expect([seat.seat.kind, seat.server, await hasStore()]).toEqual(['none', undefined, false]);
  });

  it('is for nothing where another cluster is the truth', async () => {
    const { seat, hasStore } = await joined();
    await seat.confirm(others(4, 'other'));
    expect([seat.seat.kind, seat.server, await hasStore()]).toEqual(['none', undefined, false]);
  });
});

it('a home that lost its seat begins no second mesh', async () => {
  const { seat, started } = await newSeat();
  await seat.start(false);
  expect([started, seat.record]).toEqual([[], undefined]);
});

it.each(['', '{"kind":"open"', '{"kind":"open"}', '{"kind":"other"}'])(
  'what makes no sense (%j) is refused, and no server started',
  async (said) => {
    const { seat, started } = await newSeat(said);
    await expect(seat.start(true)).rejects.toThrow(/seat\.json is damaged.*put it back/);
    expect(started).toEqual([]);
  },
);

it('what was closed for a move that did not end is open again', async () => {
  const record = { generation: 1, anchors: [{ ...anchor, peer: 'new-name' }] };
  const next = { generation: 2, cluster: 'c', anchors: [anchor] };
  const { seat, started } = await newSeat({ kind: 'closed', record, next });
  await seat.start(true);
  expect([started, seat.seat.kind, seat.record?.generation]).toEqual([['alone'], 'open', 1]);
});

it('whoever was away while its cluster came to its end does not begin it again', async () => {
  const self = {
    ...anchor,
    peer: 'new-name',
    server: 'new-name-g2-00aa11',
    route: '127.0.0.1:6000',
  };
  const record = { generation: 2, cluster: 'c', anchors: [self] };
  const newer = parseAnchorRecord({ generation: 3, anchors: [anchor] });
  if (newer === undefined) throw new Error('no record');
  const { seat, started, mesh } = await newSeat({ kind: 'open', record }, newer);
  await mesh.setPlace({ mesh: 'home', member: 'new-name', servers: ['127.0.0.1:4000'] });
  await seat.start(true);
  expect([started, seat.seat.kind]).toEqual([[], 'none']);
  expect((await mesh.anchors())?.generation).toBe(3);
});

describe('what was stored here while others did not hear of it', () => {
  const self = {
    ...{ ...anchor, peer: 'new-name', server: 'new-name-g2-00aa11' },
    route: '127.0.0.1:6000',
  };
  const record = { generation: 9, cluster: 'c', anchors: [anchor, self] };
  const newer = (generation: number, cluster?: string): AnchorRecord => {
    const said = { generation, anchors: [anchor], ...(cluster === undefined ? {} : { cluster }) };
    const parsed = parseAnchorRecord(said);
    if (parsed === undefined) throw new Error('no record');
    return parsed;
  };
  /** Rescued by somebody who had heard of generation 4 last. */
  const rescued = newer(1004);

  async function away(said: object, superseding: AnchorRecord, hasStore = true) {
    const made = await newSeat(said, superseding);
    if (hasStore) await mkdir(join(made.folder, 'g2', 'jetstream', 'facts'), { recursive: true });
    await made.mesh.setPlace({ mesh: 'home', member: 'new-name', servers: ['127.0.0.1:4000'] });
    return made;
  }

  it.each([rescued, newer(1006, 'd')])('is kept after a rescue (%j)', async (superseding) => {
    const { seat, started, folder, keptAt, mesh } = await away(
      { kind: 'open', record },
      superseding,
    );
    await seat.start(true);
    expect([started, seat.seat.kind]).toEqual([[], 'none']);
    expect(await readdir(join(folder, 'over-g2', 'jetstream'))).toEqual(['facts']);
    expect(keptAt).toEqual([join(folder, 'over-g2')]);
    expect((await mesh.anchors())?.generation).toBe(superseding.generation);
    // Nor is it taken away as what a killed daemon left.
    await seat.start(true);
    expect([...(await readdir(folder))].sort()).toEqual(['over-g2', 'seat.json']);
  });

  it('is kept when the daemon hears of the rescue, before anything else says so on the disk', async () => {
    const { seat, folder, mesh, started } = await away({ kind: 'open', record }, newer(9, 'c'));
    await seat.start(false);
    expect(started).toEqual(['member']);
    const write = seat.write.bind(seat);
    seat.write = () => Promise.reject(new Error('killed'));
    await expect(seat.confirm(rescued)).rejects.toThrow('killed');
    expect([await readdir(folder), (await mesh.anchors())?.generation]).toEqual([
      expect.arrayContaining(['over-g2']),
      1004,
    ]);
    seat.write = write;
    await seat.start(false);
    expect([seat.seat.kind, started]).toEqual(['none', ['member']]);
    expect(await readdir(join(folder, 'over-g2', 'jetstream'))).toEqual(['facts']);
  });

  it('is kept by one that joined and never heard that it was one of them', async () => {
    const { seat, folder } = await away(
      { kind: 'joining', record, self, mover: 'old-name' },
      newer(9, 'c'),
    );
    await seat.start(false);
    await seat.confirm(rescued);
    expect(seat.seat.kind).toBe('none');
    expect(await readdir(join(folder, 'over-g2', 'jetstream'))).toEqual(['facts']);
  });

  it('is forgotten after a gathering, which had all of it', async () => {
    const { seat, folder } = await away({ kind: 'open', record }, newer(10));
    await seat.start(true);
    expect(await readdir(folder)).toEqual(['seat.json']);
  });
});

it('the helper of an earlier rescue is gone after a start, unless a rescue goes on', async () => {
  const record = { generation: 2, cluster: 'c', anchors: [anchor] };
  for (const kind of ['open', 'rescuing']) {
    const next = { generation: 1002, anchors: [anchor] };
    const { seat, folder } = await newSeat({ kind, record, next });
    await mkdir(join(folder, 'rescue-helper'));
    await seat.start(false);
    expect((await readdir(folder)).includes('rescue-helper')).toBe(kind === 'rescuing');
  }
});

it('what cannot be looked at is not taken for moved: nothing is given up because of it', async () => {
  const record = { generation: 3, anchors: [{ ...anchor, server: 'new-name-g2-00aa11' }] };
  const { seat, started, folder } = await newSeat({
    ...{ kind: 'gathered', record },
    store: 'new-name-g2-00aa11',
  });
  await mkdir(join(folder, 'g2'));
  // A link that leads to itself is no file that is not there.
  await symlink('jetstream', join(folder, 'g2', 'jetstream'));
  await expect(seat.start(true)).rejects.toThrow('ELOOP');
  expect([started, seat.seat.kind, await readdir(join(folder, 'g2'))]).toEqual([
    [],
    'gathered',
    ['jetstream'],
  ]);
});

it('what a cluster had is served alone, whenever its machine was killed on the way there', async () => {
  const record = { generation: 3, anchors: [{ ...anchor, server: 'new-name-g2-00aa11' }] };
  const said = { kind: 'gathered', record, store: 'new-name-g2-00aa11' };
  for (const isMoved of [false, true]) {
    const { seat, started, folder } = await newSeat(said);
    await mkdir(join(folder, 'g2'));
    // What was there before the cluster, and that of the cluster, or the latter alone in its place.
    await mkdir(join(folder, 'jetstream', isMoved ? 'facts' : 'old'), { recursive: true });
    if (!isMoved) await mkdir(join(folder, 'g2', 'jetstream', 'facts'), { recursive: true });
    await seat.start(true);
    expect(started).toEqual(['alone']);
    expect(await readdir(join(folder, 'jetstream'))).toEqual(['facts']);
    expect(await readdir(folder)).not.toContain('g2');
    expect(seat.seat).toEqual({
      kind: 'open',
      record: {
        generation: 3,
        anchors: [{ ...anchor, peer: 'new-name', client: '127.0.0.1:4222' }],
      },
    });
  }
});

it('what was left of a server by a daemon that was killed before it was gone is gone after the next start', async () => {
  const { seat, folder } = await newSeat({ kind: 'none' });
  await mkdir(join(folder, 'g2', 'jetstream'), { recursive: true });
  await seat.start(false);
  expect(await readdir(folder)).toEqual(['seat.json']);
});
