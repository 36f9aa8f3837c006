import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MeshFolder } from '@podmesh/authority';
import { peerId } from '@podmesh/core';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../store/store.test-kit.ts';
import { refuseOtherName } from './refuse-other-name.ts';

const anchorOf = (peer: string) => ({
  ...{ peer, server: `${peer}-g2-00aa11`, client: '127.0.0.1:4222', route: '127.0.0.1:6222' },
});
const several = (...peers: readonly string[]) => ({
  ...{ generation: 2, cluster: 'c', anchors: peers.map(anchorOf) },
});
const alone = { generation: 1, anchors: [{ ...anchorOf('ann'), server: 'ann' }] };

/** What a home that was `ann` says to another name, with this seat. */
async function said(name: string, seat?: object): Promise<unknown> {
  const home = await temporaryFolder();
  const folder = new MeshFolder(join(home, 'mesh'));
  await folder.setPlace({ mesh: 'home', member: 'ann', servers: ['127.0.0.1:4222'] });
  const file = join(home, 'nats', 'seat.json');
  await mkdir(join(home, 'nats'));
  if (seat !== undefined) await writeFile(file, JSON.stringify(seat));
  return refuseOtherName(file, folder, peerId(name)).catch((error: Error) => error.message);
}

it('one of several anchors keeps its name, and is told by which', async () => {
  const seat = { kind: 'open', record: several('ann', 'bob', 'cid') };
  expect(await said('bea', seat)).toMatch(/is the anchor ann, .* Start it with --name ann$/);
  expect(await said('ann', seat)).toBeUndefined();
  const closed = { kind: 'closed', record: alone, next: several('ann', 'bob', 'cid') };
  expect(await said('bea', closed)).toMatch(/--name ann$/);
});

it.each<[string, object | undefined]>([
  ['carries nothing', { kind: 'none' }],
  ['was never told to carry anything', undefined],
  ['is alone', { kind: 'open', record: alone }],
  ['is none of the anchors', { kind: 'open', record: several('bob', 'cid', 'dan') }],
])('a home that %s may get another name', async (_, seat) => {
  expect(await said('bea', seat)).toBeUndefined();
});
