import { peerId, type SleepingPeer, toRequirements } from '@podmesh/core';
import { samplePeer } from '@podmesh/testkit';
import { expect, it } from 'vitest';
import { sleeperAdvice } from './sleeper-advice.ts';

const asleep = (name: string, changes: Partial<SleepingPeer> = {}) => {
  const { capacity } = samplePeer();
  const offering = { capacity, arch: 'amd64', labels: [], runtimes: ['podman'] as const };
  const [hostname, since, timeZone] = [name, '2026-11-22T01:00:00Z', 'UTC'];
  const sleeper = { peer: peerId(name), hostname, since, timeZone, offering, links: [], quiet: [] };
  return { sleeper: { ...sleeper, ...changes }, revision: 1 };
};

it('names sleepers that could do what waits, and how they are woken or why not', () => {
  const calls = { count: 2, by: peerId('oak') };
  const sleepers = [asleep('attic', { calls }), asleep('barn', { forbids: 'wake: false\u001b' })];
  const [attic, barn] = sleeperAdvice(toRequirements({}), sleepers);
  expect(attic).toContain('attic sleeps and could take it (it was called: 2, last by oak)');
  expect(attic).toContain('podmesh wake attic');
  expect(barn).toContain('nobody may wake it: wake: false');
  expect(barn).not.toContain('\u001b');
  expect(sleeperAdvice(toRequirements({ gpus: 99 }), sleepers)).toEqual([]);
});
