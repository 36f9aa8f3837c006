import type { ListedMember } from '@podmesh/core';
import { expect, it } from 'vitest';
import { newBench, silent } from '../daemon.test-kit.ts';
import { MemberWatch } from './member-watch.ts';

const member = (name: string, revoked: readonly string[] = []): ListedMember => ({
  ...{ name, role: 'peer', sinceMs: 1, certificates: [], revoked },
  ...(revoked.length === 0 ? {} : { revokedAtMs: 2 }),
});

/** A watch whose hints are all lost. */
async function newWatch() {
  const { clock, process } = newBench();
  const state = { revision: 1, all: [member('lab')], reads: 0 };
  const told: { readonly fingerprints: readonly string[]; readonly isNews: boolean }[] = [];
  const watch = new MemberWatch({
    members: {
      list: async () => {
        state.reads += 1;
        return state.all;
      },
      revision: async () => String(state.revision),
    },
    hints: async function* () {},
    noteSeen: async () => undefined,
    clock: process.clock,
    logger: silent,
    onRevoked: (fingerprints, isNews) => told.push({ fingerprints, isNews }),
  });
  await watch.start();
  const end = async () => {
    const stopped = watch.stop();
    await clock.advance(100_000);
    await stopped;
  };
  return { clock, state, told, end };
}

it('knows within seconds who was revoked, also when no hint of it comes', async () => {
  const { clock, state, told, end } = await newWatch();
  expect(told).toEqual([{ fingerprints: [], isNews: false }]);
  state.all = [member('lab', ['AA:BB'])];
  state.revision += 1;
  await clock.advance(5_000);
  expect(told.slice(1)).toEqual([{ fingerprints: ['AA:BB'], isNews: true }]);
  await end();
});

it('reads the list only when something has changed, and calls no news what is none', async () => {
  const { clock, state, told, end } = await newWatch();
  await clock.advance(60_000);
  expect(state.reads).toBe(1);
  state.all = [member('lab'), member('new')];
  state.revision += 1;
  await clock.advance(5_000);
  expect(told.at(-1)).toEqual({ fingerprints: [], isNews: false });
  await end();
});
