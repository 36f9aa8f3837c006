import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { peerId } from '@podmesh/core';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../store/store.test-kit.ts';
import { leftGenerations } from './left-folders.ts';
import type { Seat } from './seat-file.ts';

const peer = peerId('ann');

/** Of generations 2, 3 and 4, the last of which never had a store; and of something that is no such folder. */
async function left(seat: Seat | undefined): Promise<readonly number[]> {
  const folder = await temporaryFolder();
  for (const name of ['g2/jetstream', 'g3/jetstream', 'g4', 'g5x', 'jetstream'])
    await mkdir(join(folder, name), { recursive: true });
  return [...(await leftGenerations({ folder, peer, seat }))].sort();
}

const anchor = (name: string, generation: number) => ({
  ...{ peer: peerId(name), client: '127.0.0.1:4222', route: '127.0.0.1:6222' },
  server: `${name}-g${generation}-00aa11`,
});
const record = (generation: number, ...anchors: readonly ReturnType<typeof anchor>[]) => ({
  ...{ generation, cluster: 'c', anchors },
});
const [two, three] = [record(2, anchor('ann', 2), anchor('bob', 2)), record(3, anchor('ann', 3))];

it('is all that there is where the seat says that no server is here', async () => {
  expect(await left({ kind: 'none' })).toEqual([2, 3, 4]);
});

it.each<[string, Seat, readonly number[]]>([
  ['serves', { kind: 'open', record: two }, [3, 4]],
  ['serves, of any generation since', { kind: 'open', record: { ...two, generation: 9 } }, [3, 4]],
  ['is noted as an attempt', { kind: 'open', record: two, attempt: three }, [4]],
  ['is copied to', { kind: 'closed', record: two, next: three }, [4]],
  ['is the truth since a move', { kind: 'moved', record: three, from: 2 }, [2, 4]],
  [
    'may come to be the truth',
    { kind: 'joining', record: three, self: anchor('ann', 3), mover: peerId('bob') },
    [2, 4],
  ],
])('is never the folder of one that %s', async (_, seat, wanted) => {
  expect(await left(seat)).toEqual(wanted);
});

it('is nothing that this home may have served by another name', async () => {
  expect(
    await left({ kind: 'open', record: record(3, anchor('old', 2), anchor('bob', 3)) }),
  ).toEqual([4]);
});

it('is what never had a store where no file says what is here', async () => {
  expect(await left(undefined)).toEqual([4]);
});
