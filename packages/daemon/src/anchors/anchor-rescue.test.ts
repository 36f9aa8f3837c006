import { type AnchorRecord, peerId } from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import { AnchorRescue, RescueStoppedError } from './anchor-rescue.ts';
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

interface Scene {
  readonly seat: Seat;
  /** Who answers, at the n-th time that somebody is greeted; a name with `!` is not of this cluster. */
  readonly answering: (greeted: number) => readonly string[];
  readonly version?: string;
  readonly apart?: boolean;
  readonly hasStore?: boolean;
}

/** Of ann, whose servers only note what is done with them. */
function newRescue({ seat: at, answering, version = '2.15.1', apart, hasStore = true }: Scene) {
  const done: (string | Seat)[] = [];
  const note = (what: string) => async () => void done.push(what);
  let [greeted, isApart] = [0, apart ?? false];
  const seat = {
    peer: peerId('ann'),
    seat: at,
    write: async (said: Seat) => {
      seat.seat = said;
      done.push(said);
    },
    stop: note('stopped'),
    serve: note('served'),
    keepAside: async () => {
      seat.seat = { kind: 'none' };
      done.push('kept');
      return '/home/nats/over-g2';
    },
    servers: {
      forgetHelper: note('forgot the helper'),
      hasStore: async () => hasStore,
      wereApart: async () => isApart,
      apart: async () => {
        isApart = true;
        return [];
      },
    },
  };
  const rescue = new AnchorRescue({
    seat: seat as unknown as AnchorSeat,
    systemAddress: async () => ({ servers: [], tls: false }),
    greet: async (address) => {
      const name = address.replace(':4222', '');
      const there = answering(greeted++);
      if (there.includes(name)) return { server: name, version, cluster: 'c' };
      return there.includes(`${name}!`) ? { server: name, version } : undefined;
    },
    onStep: () => undefined,
    onTrouble: (error) => {
      throw error;
    },
    signal: new AbortController().signal,
  });
  return { rescue, done, seat };
}

const open = (carried: AnchorRecord, attempt?: AnchorRecord): Seat => ({
  ...{ kind: 'open', record: carried },
  ...(attempt === undefined ? {} : { attempt }),
});
const three = record('ann', 'bob', 'cid');
const five = record('ann', 'b', 'c', 'd', 'e');
const seven = record('ann', 'b', 'c', 'd', 'e', 'f', 'g');

it.each<[Seat, string[], string[], RegExp]>([
  [open(record('ann')), ['bob'], [], /none of several anchors/],
  [open(three), ['dan'], [], /dan is no anchor; those that are: ann, bob, cid/],
  [open(three), ['ann', 'bob'], [], /ann is here/],
  [open(three), ['bob'], ['cid'], /which is enough.*podmesh anchors replace bob NEW/],
  [open(three), ['bob', 'cid'], ['cid'], /cid answers at cid:4222: it is not lost/],
  [open(five), ['b', 'c', 'd'], [], /e does not answer.*start it, or name it if it is gone for/],
  [open(seven), ['b', 'c', 'd', 'e'], ['f'], /g does not answer.*as lost: start it$/],
  [open(five), ['b', 'c', 'd'], ['e!'], /e answers at e:4222 and is no member of these anchors/],
  // Of an exchange that is on its way, those who come are as much members as those who go.
  [open(three, record('ann', 'bob', 'dan')), ['bob', 'cid'], [], /dan does not answer/],
  [open(three, record('ann', 'bob', 'dan')), ['cid', 'dan'], ['dan'], /dan answers at dan:4222/],
  [open(five, record('ann', 'b', 'c', 'd', 'e', 'f')), ['b', 'c'], [], /there are 4 of 6/],
])('of %j without %j, where %j answer, nothing is rescued', async (at, lost, there, why) => {
  const { rescue, done } = newRescue({ seat: at, answering: () => there });
  await expect(rescue.begin(lost.map(peerId))).rejects.toThrow(why);
  expect(done).toEqual([]);
});

it.each([
  ['2.14.9', false],
  ['1.99.0', false],
  ['2.15.0', true],
  ['3.0.0', true],
])('a server of version %s begins a rescue: %s', async (version, isFine) => {
  const { rescue, done } = newRescue({ seat: open(three), answering: () => ['ann'], version });
  const begun = rescue.begin(['bob', 'cid'].map(peerId));
  if (isFine) await begun;
  else await expect(begun).rejects.toThrow(`the nats-server here is ${version}`);
  expect(done.length > 0).toBe(isFine);
});

it.each([undefined, record('ann', 'bob', 'cid', 'dan')])(
  'is noted before anything is done, of a generation that nobody else comes to, with what was under way (%j)',
  async (attempt) => {
    const { rescue, done } = newRescue({ seat: open(three, attempt), answering: () => ['ann'] });
    await rescue.begin(['bob', 'cid', ...(attempt === undefined ? [] : ['dan'])].map(peerId));
    expect(done).toEqual([
      'forgot the helper',
      {
        ...{ kind: 'rescuing', record: three },
        next: {
          generation: 1004,
          anchors: [{ peer: 'ann', server: 'ann-g2-aa', client: 'ann:4222' }],
        },
        ...(attempt === undefined ? {} : { attempt }),
      },
    ]);
  },
);

describe('those who were named as lost', () => {
  const next: AnchorRecord = { ...record('ann'), generation: 1004 };
  const attempt = { ...record('ann', 'bob', 'dan'), generation: 5 };
  const rescuing: Seat = { kind: 'rescuing', record: three, next };

  it('and stay away are gone on without, also where one of them answers', async () => {
    const { rescue, done } = newRescue({ seat: rescuing, answering: () => ['bob', 'cid!'] });
    await rescue.finish();
    expect(done).toEqual([
      'stopped',
      { kind: 'gathered', record: next, store: 'ann-g2-aa' },
      'served',
      'forgot the helper',
    ]);
  });

  it.each([
    [rescuing, ['bob', 'cid']],
    [{ ...rescuing, attempt }, ['bob', 'dan']],
  ])('and are back before anything was done are joined again (%#)', async (at, there) => {
    const { rescue, done } = newRescue({ seat: at, answering: () => there });
    await expect(rescue.finish()).rejects.toThrow(RescueStoppedError);
    const { attempt: pending } = at as { attempt?: AnchorRecord };
    expect(done).toEqual([open(three, pending)]);
  });

  it('and are back at a start in the middle go on without what is here, which is kept', async () => {
    const { rescue, done, seat } = newRescue({
      ...{ seat: rescuing, answering: () => ['bob', 'cid'], apart: true },
    });
    await expect(rescue.finish()).rejects.toThrow(
      /bob and cid answer again.*kept in \/home\/nats\/over-g2.*podmesh anchors replace ann NEW/,
    );
    expect([done, seat.seat.kind]).toEqual([['kept', 'forgot the helper'], 'none']);
  });

  it('and are back while all is copied are not stood beside', async () => {
    const { rescue, done, seat } = newRescue({
      ...{ seat: rescuing, answering: (greeted: number) => (greeted < 2 ? [] : ['bob', 'cid']) },
    });
    await expect(rescue.finish()).rejects.toThrow(RescueStoppedError);
    expect([done, seat.seat.kind]).toEqual([['stopped', 'kept', 'forgot the helper'], 'none']);
  });

  it('are not gone on without by an empty server, where what was here is aside already', async () => {
    const { rescue, done } = newRescue({
      ...{ seat: rescuing, answering: () => [], apart: true, hasStore: false },
    });
    await expect(rescue.finish()).rejects.toThrow(RescueStoppedError);
    expect(done).toEqual(['kept', 'forgot the helper']);
  });
});
