import { PortError, peerId, type SleepingPeer } from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import { newBench, settled, silent } from '../daemon.test-kit.ts';
import { SleepDesk, type SleepDeskParts } from './sleep-desk.ts';

const CAPACITY = { cpus: 4, memoryBytes: 2 ** 33, diskBytes: 2 ** 40, gpus: 1 };
const OFFERING = {
  capacity: CAPACITY,
  arch: 'amd64',
  labels: ['a=b'],
  runtimes: ['crun'] as const,
};
const LINKS = [{ mac: '00:11:22:33:44:55', network: '192.168.1.0/24' }];

async function newCase(changes: Partial<SleepDeskParts> = {}) {
  const { clock, ports, mesh, process } = newBench();
  const said: string[] = [];
  const machine = {
    offering: OFFERING,
    unfit: undefined as string | undefined,
    ended: 0,
    goodNight: async () => void said.push('good night'),
    goodMorning: async () => void said.push('good morning'),
  };
  const wish: SleepDeskParts['owner']['sleepWish'] = { quiet: [{ fromMinute: 0, toMinute: 60 }] };
  const desk = new SleepDesk({
    peer: peerId('attic'),
    machine,
    sleepers: ports.sleepers,
    owner: { sleepWish: wish },
    links: async () => LINKS,
    hostname: 'attic.lan',
    timeZone: 'UTC',
    now: () => Date.UTC(2026, 10, 22),
    clock: process.clock,
    logger: silent,
    ...changes,
  });
  const noted = async (): Promise<SleepingPeer | undefined> =>
    (await settled(clock, ports.sleepers.list()))[0]?.sleeper;
  const night = () => settled(clock, desk.goodNight());
  const morning = async () => {
    await settled(clock, desk.goodMorning());
    await clock.advance(5_000);
  };
  return { clock, mesh, ports, desk, machine, said, noted, night, morning };
}

describe('the desk of a machine that sleeps', () => {
  it('leaves a note of what it could do and how it is woken, and takes it back', async () => {
    const { desk, said, noted, night, morning, clock } = await newCase();
    desk.start();
    await night();
    expect(said).toEqual(['good night']);
    expect(await noted()).toEqual({
      peer: 'attic',
      hostname: 'attic.lan',
      since: '2026-11-22T00:00:00.000Z',
      offering: OFFERING,
      links: LINKS,
      quiet: [{ fromMinute: 0, toMinute: 60 }],
      timeZone: 'UTC',
    });
    await morning();
    expect(said.at(-1)).toBe('good morning');
    expect(await noted()).toBeUndefined();
    await settled(clock, desk.stop());
    await settled(clock, desk.stop());
  });

  it('takes back the note of an earlier session as soon as the mesh can be told', async () => {
    const { desk, ports, noted, night, clock } = await newCase();
    await night();
    await settled(clock, desk.stop());
    let failures = 3;
    const list = ports.sleepers.list.bind(ports.sleepers);
    ports.sleepers.list = async () => {
      failures -= 1;
      if (failures >= 0) throw new PortError('the mesh is away', { retryable: true });
      return list();
    };
    const later = await newCase({ sleepers: ports.sleepers });
    later.desk.start();
    await later.clock.advance(3_000);
    expect(failures).toBe(1);
    await later.clock.advance(5_000);
    expect(failures).toBeLessThan(0);
    expect(await noted()).toBeUndefined();
    await settled(later.clock, later.desk.stop());
  });

  it('says why nobody may wake it: what it could not do, or what its owner wishes', async () => {
    const owner = { sleepWish: { forbids: 'wake: false', quiet: [] } };
    const { machine, noted, night, morning } = await newCase({ owner });
    await night();
    expect((await noted())?.forbids).toBe('wake: false');
    await morning();
    machine.unfit = 'it was drained (ann)';
    await night();
    expect((await noted())?.forbids).toBe('it was drained (ann)');
  });

  it('goes on counting calls for which it came, and did nothing', async () => {
    const { ports, machine, noted, night, morning } = await newCase();
    const call = async (count: number) => {
      const [read] = await ports.sleepers.list();
      const calls = { count, by: peerId('other') };
      if (read !== undefined)
        await ports.sleepers.replace({ ...read.sleeper, calls }, read.revision);
    };
    await night();
    await call(2);
    await morning();
    await night();
    expect((await noted())?.calls).toEqual({ count: 2, by: 'other' });
    await morning();
    machine.ended += 1;
    await night();
    expect((await noted())?.calls).toBeUndefined();
    await morning();
    // What was counted before it did any work is not counted again.
    await night();
    expect((await noted())?.calls).toBeUndefined();
  });

  it('goes to sleep also where no note can be left', async () => {
    const { said, night } = await newCase({ links: () => Promise.reject(new Error('no cards')) });
    await night();
    expect(said).toEqual(['good night']);
  });
});
