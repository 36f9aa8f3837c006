import type { AnchorRecord } from '@podmesh/core';
import { peerId } from '@podmesh/core';
import { expect, it } from 'vitest';
import { DismissedWatch } from './dismissed-watch.ts';

const LOOKS = 60;

const record = (
  generation: number,
  cluster: string | undefined,
  ...names: string[]
): AnchorRecord => ({
  generation,
  ...(cluster === undefined ? {} : { cluster }),
  anchors: names.map((name) => ({
    peer: peerId(name),
    server: `${name}-g1-aa`,
    client: '127.0.0.1:1',
    route: '127.0.0.1:2',
  })),
});

/** Of bob, one of three. */
class Scene {
  heard: AnchorRecord | undefined;
  members: readonly string[] | undefined;
  newer: AnchorRecord | undefined;
  isWhole = true;
  readonly own = record(4, 'c', 'ann', 'bob', 'cid');
  readonly left: number[] = [];
  retired = 0;
  asked = 0;
  readonly watch = new DismissedWatch({
    peer: 'bob',
    seat: () => ({ kind: 'open', record: this.own }),
    heard: () => this.heard,
    members: async () => {
      if (this.members === undefined) throw new Error('nobody tells');
      return this.members;
    },
    retire: async () => void this.retired++,
    supersededBy: async () => {
      this.asked += 1;
      return this.newer;
    },
    isWhole: async () => this.isWhole,
    leave: async ({ generation }) => void this.left.push(generation),
    sleep: async () => undefined,
  });

  async look(times = 1): Promise<void> {
    for (let look = 0; look < times; look++) await this.watch.look().catch(() => undefined);
  }
}

it('whoever is named stays, and asks nobody elsewhere while all are there', async () => {
  const scene = new Scene();
  await scene.look(LOOKS);
  scene.heard = record(5, 'c', 'ann', 'bob', 'dan');
  await scene.look(LOOKS);
  expect([scene.left, scene.retired, scene.asked]).toEqual([[], 0, 0]);
});

it('whoever is named no more leaves once it votes no more', async () => {
  const scene = new Scene();
  scene.heard = record(5, 'c', 'ann', 'cid', 'dan');
  await scene.look(LOOKS);
  scene.members = ['bob-g1-aa', 'ann-g1-aa'];
  await scene.look(3);
  expect(scene.left).toEqual([]);
  scene.members = ['ann-g1-aa'];
  await scene.look();
  expect([scene.left, scene.retired]).toEqual([[5], 0]);
});

it('takes itself out when nobody else does, and waits as long the next time', async () => {
  const scene = new Scene();
  const dismissed = record(5, 'c', 'ann', 'cid', 'dan');
  scene.members = ['bob-g1-aa'];
  scene.heard = dismissed;
  await scene.look(20);
  expect(scene.retired).toBe(0);
  // It was made an anchor again meanwhile.
  scene.heard = record(6, 'c', 'ann', 'bob', 'cid');
  await scene.look();
  scene.heard = { ...dismissed, generation: 7 };
  await scene.look(20);
  expect(scene.retired).toBe(0);
  await scene.look(5);
  expect(scene.retired).toBe(1);
});

it('leaves a cluster that came to its end without it, and only then', async () => {
  const scene = new Scene();
  scene.isWhole = false;
  await scene.look(2);
  expect([scene.left, scene.asked]).toEqual([[], 2]);
  scene.newer = record(6, undefined, 'ann');
  await scene.look();
  expect(scene.left).toEqual([6]);
});
