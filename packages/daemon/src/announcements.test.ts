import { HEARTBEAT_MS, PEER_TTL_MS } from '@podmesh/core';
import { expect, it } from 'vitest';
import { Announcements } from './announcements.ts';
import { newBench } from './daemon.test-kit.ts';

it('the directory is believed until an announcement fails, and again after a while', async () => {
  const { clock, process } = newBench();
  const announcements = new Announcements(process.clock);
  await announcements.make(async () => undefined);
  expect(announcements.isSteady()).toBe(true);
  const failed = announcements.make(() => Promise.reject(new Error('away')));
  await expect(failed).rejects.toThrow('away');
  expect(announcements.isSteady()).toBe(false);
  await clock.advance(PEER_TTL_MS);
  expect(announcements.isSteady()).toBe(true);
});

it('an announcement that waited out an absence counts as one that failed', async () => {
  const { clock, process } = newBench();
  const announcements = new Announcements(process.clock);
  const late = announcements.make(() => process.clock.sleep(HEARTBEAT_MS + 1));
  await clock.advance(HEARTBEAT_MS + 1);
  await late;
  expect(announcements.isSteady()).toBe(false);
});

it('one that failed was not heard, until the next one gets through', async () => {
  const announcements = new Announcements(newBench().process.clock);
  expect(announcements.wasHeard).toBe(true);
  await announcements.make(() => Promise.reject(new Error('away'))).catch(() => undefined);
  expect(announcements.wasHeard).toBe(false);
  await announcements.make(async () => undefined);
  expect(announcements.wasHeard).toBe(true);
});

it('who is hushed is withdrawn after what was on its way, and announced no more until it speaks', async () => {
  const announcements = new Announcements(newBench().process.clock);
  const said: string[] = [];
  let arrive: () => void = () => undefined;
  const way = new Promise<void>((resolve) => {
    arrive = resolve;
  });
  let begun: Promise<void> | undefined;
  await new Promise<void>((onItsWay) => {
    begun = announcements.make(async () => {
      onItsWay();
      await way;
      said.push('announced');
    });
  });
  const hushed = announcements.hush(async () => void said.push('withdrawn'));
  const late = announcements.make(async () => void said.push('announced late'));
  arrive();
  await Promise.all([begun, hushed, late]);
  expect(said).toEqual(['announced', 'withdrawn']);
  announcements.speak();
  await announcements.make(async () => void said.push('announced again'));
  expect(said.at(-1)).toBe('announced again');
});

it('who may speak again before it is withdrawn stays', async () => {
  const announcements = new Announcements(newBench().process.clock);
  const said: string[] = [];
  const hushed = announcements.hush(async () => void said.push('withdrawn'));
  announcements.speak();
  await hushed;
  const failed = announcements.hush(() => Promise.reject(new Error('away')));
  await expect(failed).rejects.toThrow('away');
  announcements.speak();
  await announcements.make(async () => void said.push('announced'));
  expect(said).toEqual(['announced']);
});
