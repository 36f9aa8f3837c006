import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { FakeSystemBus } from './fake-system-bus.test-kit.ts';
import { MachineSources } from './machine-sources.ts';
import { SystemBus } from './system-bus.ts';

const NOW = new Date(2026, 10, 22, 13, 37);

/** A machine whose kernel tells what stands in these files. */
async function machine(files: Readonly<Record<string, string>>, env: NodeJS.ProcessEnv = NO_BUS) {
  const root = await mkdtemp(join(tmpdir(), 'podmesh-machine-'));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), `${text}\n`);
  }
  const bus = new SystemBus(env);
  onTestFinished(() => bus.stop());
  return new MachineSources({ root, bus, now: () => NOW });
}
const NO_BUS = { DBUS_SYSTEM_BUS_ADDRESS: 'unix:path=/nowhere/at/all' };

const supply = (name: string, facts: Readonly<Record<string, string>>) =>
  Object.fromEntries(
    Object.entries(facts).map(([fact, text]) => [`sys/class/power_supply/${name}/${fact}`, text]),
  );

describe('the power supply of a machine', () => {
  it.each([
    ['without a battery is the wall', {}, { onBattery: false }],
    [
      'that runs on its battery',
      {
        ...supply('AC', { type: 'Mains', online: '0' }),
        ...supply('BAT0', { type: 'Battery', status: 'Discharging', capacity: '41' }),
      },
      { onBattery: true, percent: 41 },
    ],
    [
      'that is fed loses nothing, whatever the battery does',
      {
        ...supply('AC', { type: 'Mains', online: '1' }),
        ...supply('BAT0', { type: 'Battery', status: 'Discharging', capacity: '80' }),
        ...supply('BAT1', { type: 'Battery', status: 'Charging', capacity: '20' }),
      },
      { onBattery: false, percent: 50 },
    ],
    [
      'does not hang on the battery of a mouse',
      supply('mouse', { type: 'Battery', scope: 'Device', status: 'Discharging', capacity: '3' }),
      { onBattery: false },
    ],
  ])('%s', async (_, files, power) => {
    expect(await (await machine(files)).power()).toEqual({ kind: 'known', ...power });
  });
});

describe('the kernel', () => {
  it('tells the load, the hottest sensor that makes sense, and the clock the time', async () => {
    const zone = (at: number, type: string, temp: string) => ({
      [`sys/class/thermal/thermal_zone${at}/type`]: type,
      [`sys/class/thermal/thermal_zone${at}/temp`]: temp,
    });
    const sources = await machine({
      'proc/loadavg': '2.50 1.00 0.50 3/400 12345',
      ...zone(0, 'acpitz', '0'),
      ...zone(1, 'x86_pkg_temp', '91500'),
      ...zone(2, 'broken', '255000'),
    });
    expect(await sources.load()).toMatchObject({ kind: 'known', busyCores: 2.5 });
    expect(await sources.heat()).toEqual({ kind: 'known', celsius: 91.5, sensor: 'x86_pkg_temp' });
    expect(sources.time()).toEqual({ day: NOW.getDay(), minute: 13 * 60 + 37 });
  });

  it('and nobody else tells what is not there, but all say why', async () => {
    const sources = await machine({});
    for (const fact of [sources.use(), sources.network(), sources.load(), sources.heat()])
      expect(await fact).toEqual({ kind: 'unknown', why: expect.stringMatching(/\w{4}/) });
  });
});

describe('logind', () => {
  it('tells since when nobody at the machine did anything', async () => {
    const bus = await FakeSystemBus.start();
    const sources = await machine({}, bus.env);
    const idleMs = async () => Object(await sources.use()).idleMs;
    expect(await idleMs()).toBe(Number.POSITIVE_INFINITY);
    bus.addSession('ssh', { seat: '' });
    bus.addSession('greeter', { Class: 'greeter' });
    bus.addSession('other', { State: 'online' });
    expect(await idleMs()).toBe(Number.POSITIVE_INFINITY);
    const ann = bus.addSession('ann');
    expect(await idleMs()).toBe(0);
    ann.IdleHint = true;
    ann.IdleSinceHint = (NOW.getTime() - 90_000) * 1_000;
    expect(await idleMs()).toBe(90_000);
    Object.assign(ann, { IdleHint: false, LockedHint: true, IdleSinceHint: 0 });
    expect(await idleMs()).toBe(Number.POSITIVE_INFINITY);
  });

  it('that went away is not known, and asked again when it is back', async () => {
    const bus = await FakeSystemBus.start();
    const sources = await machine({}, bus.env);
    expect((await sources.use()).kind).toBe('known');
    await bus.kill();
    expect((await sources.use()).kind).toBe('unknown');
  });
});

describe('NetworkManager', () => {
  it.each([
    [0, { kind: 'unknown' }],
    [1, { kind: 'known', isMetered: true }],
    [2, { kind: 'known', isMetered: false }],
    [3, { kind: 'known', isMetered: true }],
    [4, { kind: 'known', isMetered: false }],
  ])('says %d', async (metered, fact) => {
    const bus = await FakeSystemBus.start();
    bus.network.Metered = metered;
    expect(await (await machine({}, bus.env)).network()).toMatchObject(fact);
  });
});
