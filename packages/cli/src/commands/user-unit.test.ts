import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, it } from 'vitest';
import { FakeWorld } from '../fake-world.test-kit.ts';
import { type SystemProgram, unitText } from '../home/user-unit.ts';

let fake: FakeWorld;
let machine: FakeSystemd;

/** The systemd of one user, as far as its words go. */
class FakeSystemd {
  readonly asked: string[] = [];
  isThere = true;
  mayLinger = true;
  #linger = false;
  #enabled = false;
  #active = false;

  readonly program: SystemProgram = async (name, words) => {
    const line = [name, ...words].join(' ');
    this.asked.push(line);
    if (!this.isThere)
      return { code: 1, out: '', err: 'Failed to connect to bus: No medium found\n' };
    const say = (out: string, code = 0) => ({ code, out: `${out}\n`, err: '' });
    if (line.includes('is-enabled')) return say(this.#enabled ? 'enabled' : 'not-found', 1);
    if (line.includes('is-active')) return say(this.#active ? 'active' : 'inactive', 3);
    if (line.includes('show-user')) return say(this.#linger ? 'yes' : 'no');
    if (line.includes('enable-linger')) {
      this.#linger = this.mayLinger;
      return this.mayLinger ? say('') : { code: 1, out: '', err: 'Access denied\n' };
    }
    if (line.includes(' enable ')) this.#enabled = true;
    if (line.includes(' restart ')) this.#active = true;
    if (line.includes(' disable ')) {
      this.#enabled = false;
      this.#active = false;
    }
    return say('');
  };
}

beforeEach(() => {
  fake = new FakeWorld();
  machine = new FakeSystemd();
});

const say = (words: string, env: Record<string, string> = {}, isRoot = false): Promise<number> =>
  fake.run(words.split(' '), {
    env: { HOME: fake.directory, ...env },
    program: machine.program,
    isRoot,
  });
const unitPath = () => join(fake.directory, '.config', 'systemd', 'user', 'podmesh.service');
const environment = () => join(fake.directory, '.config', 'podmesh', 'environment');

it('the unit in deploy is the one that is installed, but for its paths', () => {
  const deployed = readFileSync(
    new URL('../../../../deploy/systemd/podmesh.service', import.meta.url),
    'utf8',
  );
  expect(deployed).toBe(unitText({ node: '@NODE@', podmesh: '@PODMESH@' }));
});

it('is installed, started, and kept up while its user is away', async () => {
  expect(await say('service install')).toBe(0);
  const unit = readFileSync(unitPath(), 'utf8');
  expect(unit).toMatch(new RegExp(`^ExecStart=${process.execPath} /.*/bin/podmesh up `, 'm'));
  expect(unit).not.toContain('PODMESH_HOME=');
  const orders = machine.asked.filter((line) => /daemon-reload|enable|restart/.test(line));
  expect(orders).toEqual(
    expect.arrayContaining([
      'systemctl --user daemon-reload',
      'systemctl --user enable podmesh.service',
      'systemctl --user restart podmesh.service',
      'loginctl --no-ask-password enable-linger',
    ]),
  );
  expect(fake.terminal.stdout).toContain('while nobody is logged in');
  expect(await say('service status')).toBe(0);
  expect(existsSync(environment())).toBe(false);
});

it('says what to type where linger needs an administrator', async () => {
  machine.mayLinger = false;
  expect(await say('service install')).toBe(0);
  expect(fake.terminal.stdout).toContain('sudo loginctl enable-linger me');
});

it('keeps an address with its token out of the unit, and what else stands beside it', async () => {
  mkdirSync(join(fake.directory, '.config', 'podmesh'), { recursive: true });
  writeFileSync(environment(), 'PODMESH_UP_OPTIONS=--cores 2\nPODMESH_NATS=nats://old@h:1\n');
  expect(await say('service install', { PODMESH_NATS: 'nats://secret@10.0.0.5:4222' })).toBe(0);
  expect(readFileSync(unitPath(), 'utf8')).not.toContain('secret');
  expect(machine.asked.join('\n')).not.toContain('secret');
  expect(readFileSync(environment(), 'utf8')).toBe(
    'PODMESH_UP_OPTIONS=--cores 2\nPODMESH_NATS=nats://secret@10.0.0.5:4222\n',
  );
  expect(statSync(environment()).mode & 0o777).toBe(0o600);
});

it('a home of its own stands in the unit, quoted', async () => {
  expect(unitText({ node: '/n', podmesh: '/p', home: '/a b/50%/$x"y' })).toContain(
    'Environment="PODMESH_HOME=/a b/50%%/$x\\"y"\n',
  );
  expect(await say('service install', { PODMESH_HOME: fake.home.path })).toBe(0);
  expect(readFileSync(unitPath(), 'utf8')).toContain(`PODMESH_HOME=${fake.home.path}`);
});

it.each([
  ['', 120],
  ['PODMESH_UP_OPTIONS=--cores 2 --grace 30s\n', 120],
  ['PODMESH_UP_OPTIONS="--grace 10m --label grace=1"\n', 660],
  ["A=--grace 9h\nPODMESH_UP_OPTIONS='--grace=1h'\n#PODMESH_UP_OPTIONS=--grace 2h\n", 3_660],
  ['PODMESH_UP_OPTIONS=--grace 1h\nPODMESH_UP_OPTIONS=--grace 1m --grace 150.5s\n', 211],
])('is not killed before its tasks had their time: %j', async (text, seconds) => {
  mkdirSync(join(fake.directory, '.config', 'podmesh'), { recursive: true });
  writeFileSync(environment(), text);
  expect(await say('service install')).toBe(0);
  expect(readFileSync(unitPath(), 'utf8')).toContain(`\nTimeoutStopSec=${seconds}\n`);
});

it('is not installed with a time that is none', async () => {
  mkdirSync(join(fake.directory, '.config', 'podmesh'), { recursive: true });
  writeFileSync(environment(), 'PODMESH_UP_OPTIONS=--grace soon\n');
  expect(await say('service install')).toBe(2);
  expect(fake.terminal.stderr).toContain('--grace soon is no time');
  expect(existsSync(unitPath())).toBe(false);
});

it('is uninstalled, and again', async () => {
  await say('service install');
  expect(await say('service uninstall')).toBe(0);
  expect(existsSync(unitPath())).toBe(false);
  expect(machine.asked).toContain('systemctl --user disable --now podmesh.service');
  expect(await say('service status')).toBe(1);
  expect(await say('service uninstall')).toBe(0);
});

it('refuses where there is no systemd for this user, and writes nothing', async () => {
  machine.isThere = false;
  expect(await say('service install')).toBe(1);
  expect(fake.terminal.stderr).toContain('Failed to connect to bus');
  expect(fake.terminal.stderr).toContain('podmesh up --detach');
  expect(existsSync(unitPath())).toBe(false);
});

it('refuses root, and words it does not know', async () => {
  expect(await say('service install', {}, true)).toBe(2);
  expect(await say('service reinstall')).toBe(2);
  expect(machine.asked).toEqual([]);
});

it('tells programs in JSON', async () => {
  await say('service install --json');
  expect(JSON.parse(fake.terminal.stdout)).toEqual({
    installed: true,
    enabled: 'enabled',
    active: 'active',
    linger: true,
    unit: unitPath(),
  });
});
