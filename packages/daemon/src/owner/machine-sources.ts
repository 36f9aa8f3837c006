import { readdir, readFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import {
  type Fact,
  type HeatFact,
  type LoadFact,
  type LocalTime,
  type NetworkFact,
  type OwnerSources,
  type PowerFact,
  type UseFact,
  unknownFact,
} from '@podmesh/core';
import { readUse } from './session-use.ts';
import type { SystemBus } from './system-bus.ts';

const NETWORK_MANAGER = {
  destination: 'org.freedesktop.NetworkManager',
  path: '/org/freedesktop/NetworkManager',
  interface: 'org.freedesktop.NetworkManager',
};
/** `NMMetered`: unknown, yes, no, guessed yes, guessed no. */
const METERED = [1, 3];
const UNMETERED = [2, 4];
/** Sensors that tell nothing say 0, or something absurd. */
const CELSIUS_MAX = 150;

export interface MachinePlaces {
  /** Where `sys` and `proc` are mounted; tests make their own. */
  readonly root?: string;
  readonly bus: Pick<SystemBus, 'call' | 'property'>;
  readonly now?: () => Date;
}

/** What the kernel, logind and NetworkManager tell of this machine. */
export class MachineSources implements OwnerSources {
  readonly #root: string;
  readonly #bus: MachinePlaces['bus'];
  readonly #now: () => Date;

  constructor({ root = '/', bus, now = () => new Date() }: MachinePlaces) {
    this.#root = root;
    this.#bus = bus;
    this.#now = now;
  }

  /** As the kernel's power supplies: mains that are on line, else batteries that lose. */
  async power(): Promise<Fact<PowerFact>> {
    const folder = this.#at('sys/class/power_supply');
    const names = await readdir(folder).catch(() => []);
    const supplies = await Promise.all(names.map((name) => readSupply(join(folder, name))));
    const mains = supplies.filter(({ type }) => type === 'Mains' || type === 'USB');
    const batteries = supplies.filter(
      ({ type, scope }) => type === 'Battery' && scope !== 'Device',
    );
    // A machine without any tells nothing, and hangs on a wall.
    if (batteries.length === 0) return { kind: 'known', onBattery: false };
    const levels = batteries.flatMap(({ capacity }) => (capacity === undefined ? [] : [capacity]));
    const percent = levels.reduce((sum, level) => sum + level, 0) / levels.length;
    const isFed = mains.some(({ online }) => online === '1');
    const onBattery = !isFed && batteries.some(({ status }) => status === 'Discharging');
    return { kind: 'known', onBattery, ...(levels.length === 0 ? {} : { percent }) };
  }

  async use(): Promise<Fact<UseFact>> {
    try {
      return { kind: 'known', idleMs: await readUse(this.#bus, this.#now().getTime()) };
    } catch (error) {
      return unknownFact(`logind is not to be asked (${messageOf(error)})`);
    }
  }

  async network(): Promise<Fact<NetworkFact>> {
    try {
      const metered = Number(await this.#bus.property(NETWORK_MANAGER, 'Metered'));
      if (METERED.includes(metered)) return { kind: 'known', isMetered: true };
      if (UNMETERED.includes(metered)) return { kind: 'known', isMetered: false };
      return unknownFact('NetworkManager does not know either');
    } catch (error) {
      return unknownFact(`NetworkManager is not to be asked (${messageOf(error)})`);
    }
  }

  async load(): Promise<Fact<LoadFact>> {
    const text = await readFile(this.#at('proc/loadavg'), 'utf8').catch(() => '');
    const busyCores = Number.parseFloat(text);
    if (Number.isNaN(busyCores)) return unknownFact('there is no /proc/loadavg');
    return { kind: 'known', busyCores, cores: cpus().length };
  }

  async heat(): Promise<Fact<HeatFact>> {
    const folder = this.#at('sys/class/thermal');
    const names = (await readdir(folder).catch(() => [])).filter((name) =>
      /^thermal_zone/.test(name),
    );
    const zones = await Promise.all(names.map((name) => readZone(join(folder, name))));
    const hottest = zones
      .filter(({ celsius }) => celsius > 0 && celsius < CELSIUS_MAX)
      .sort((a, b) => b.celsius - a.celsius)[0];
    return hottest === undefined
      ? unknownFact('the kernel tells of no sensor')
      : { kind: 'known', ...hottest };
  }

  time(): LocalTime {
    const now = this.#now();
    return { day: now.getDay(), minute: now.getHours() * 60 + now.getMinutes() };
  }

  #at(path: string): string {
    return join(this.#root, path);
  }
}

async function readSupply(folder: string) {
  const [type, online, status, scope, capacity] = await Promise.all(
    ['type', 'online', 'status', 'scope', 'capacity'].map((name) => readLine(join(folder, name))),
  );
  const level = capacity === undefined ? Number.NaN : Number(capacity);
  return { type, online, status, scope, capacity: Number.isFinite(level) ? level : undefined };
}

async function readZone(folder: string): Promise<HeatFact> {
  const [millidegrees, sensor] = await Promise.all(
    ['temp', 'type'].map((name) => readLine(join(folder, name))),
  );
  return { celsius: Number(millidegrees) / 1_000, sensor: sensor ?? 'an unnamed sensor' };
}

async function readLine(path: string): Promise<string | undefined> {
  return (await readFile(path, 'utf8').catch(() => undefined))?.trim();
}

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);
