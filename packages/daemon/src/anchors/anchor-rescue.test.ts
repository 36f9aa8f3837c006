import { type AnchorRecord, peerId } from '@podmesh/core';
import { expect, it } from 'vitest';
import { AnchorRescue } from './anchor-rescue.ts';
import type { AnchorSeat } from './anchor-seat.ts';
import type { Seat } from './seat-file.ts';

const record = (...names: string[]): AnchorRecord => ({
  generation: 4,
  ...(names.length > 1 ? { cluster: 'c' } : {}),
  anchors: names.map((name) => ({
    peer: peerId(name),
    server: `${name}-g2-aa`,
    client: `${name}:4222`,
    route: `${name}:6222`,
  })),
});

/** Of ann, where only these answer. */
function newRescue(carried: AnchorRecord, ...answering: readonly string[]) {
  const written: Seat[] = [];
  const seat = {
    peer: peerId('ann'),
    seat: { kind: 'open', record: carried },
    write: async (said: Seat) => void written.push(said),
  };
  const rescue = new AnchorRescue({
    seat: seat as unknown as AnchorSeat,
    systemAddress: async () => ({ servers: [], tls: false }),
    greet: async (address) =>
      answering.includes(address.replace(':4222', ''))
        ? { server: 'somebody', version: '2.15.1' }
        : undefined,
    onStep: () => undefined,
    onTrouble: () => undefined,
    signal: new AbortController().signal,
  });
  return { rescue, written };
}

it.each([
  [record('ann'), ['bob'], [], /none of several anchors/],
  [record('ann', 'bob', 'cid'), ['dan'], [], /dan is no anchor; those that are: ann, bob, cid/],
  [record('ann', 'bob', 'cid'), ['ann', 'bob'], [], /ann is here/],
  [
    record('ann', 'bob', 'cid'),
    ['bob'],
    ['cid'],
    /which is enough.*podmesh anchors replace bob NEW/,
  ],
  [record('ann', 'bob', 'cid'), ['bob', 'cid'], ['cid'], /cid answers at cid:4222: it is not lost/],
  [record('ann', 'b', 'c', 'd', 'e'), ['b', 'c', 'd'], [], /e does not answer, and is not named/],
])('of %j without %j, where %j answer, nothing is rescued', async (carried, lost, there, why) => {
  const { rescue, written } = newRescue(carried, ...there);
  await expect(rescue.begin(lost.map(peerId))).rejects.toThrow(why);
  expect(written).toEqual([]);
});

it('is noted before anything is done, with the record of the one that is left', async () => {
  const carried = record('ann', 'bob', 'cid');
  const { rescue, written } = newRescue(carried);
  await rescue.begin(['bob', 'cid'].map(peerId));
  expect(written).toEqual([
    {
      kind: 'rescuing',
      record: carried,
      next: {
        generation: 5,
        anchors: [{ peer: 'ann', server: 'ann-g2-aa', client: 'ann:4222' }],
      },
    },
  ]);
});
