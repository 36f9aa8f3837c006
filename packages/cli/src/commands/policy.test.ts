import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { FakeWorld } from '../fake-world.test-kit.ts';
import { fakeDaemon, say } from '../home/fake-daemon.test-kit.ts';

const TOLD = {
  peer: 'oak',
  stance: 'lowered',
  cpus: 0.5,
  memory: 1,
  reasons: ['in use within 5 min: offers 50% of its cores'],
  rules: [
    { rule: 'in use within 5 min: offers 50% of its cores', isOn: true, because: 'in use' },
    { rule: 'on a metered network: claims nothing', isOn: false, because: 'not known: no bus' },
  ],
  problems: [],
};

async function told(answer: object) {
  const world = new FakeWorld();
  const asked = await fakeDaemon(world, (_, response) => say(response, 200, answer));
  return { world, asked };
}

describe('podmesh policy', () => {
  it('shows what is in force, and why each rule holds or not', async () => {
    const { world, asked } = await told(TOLD);
    expect(await world.run(['policy'])).toBe(0);
    expect(asked).toEqual([{ method: 'GET', path: '/v1/policy', body: undefined }]);
    expect(world.terminal.stdout.split('\n')).toEqual([
      'oak: offers 50% of its cores and 100% of its memory at present',
      `policy: the defaults; there is no ${world.home.at('policy.yaml')}`,
      '  holds  in use within 5 min: offers 50% of its cores (in use)',
      '  -      on a metered network: claims nothing (not known: no bus)',
      '',
    ]);
  });

  it.each([
    [{ quiet: [] }, 'when it sleeps, peers in its network may wake it for work that waits'],
    [
      {
        quiet: [
          { fromMinute: 1_320, toMinute: 390 },
          { fromMinute: 0, toMinute: 0, days: ['sat', 'sun'] },
        ],
      },
      'when it sleeps, peers in its network may wake it for work that waits, but not from 22:00 to 6:30, nor on sat, sun',
    ],
    [
      { forbids: 'as it fell asleep, on battery', quiet: [] },
      'if it fell asleep now, nobody may wake it: as it fell asleep, on battery',
    ],
  ])('says who may wake the machine: %j', async (wake, line) => {
    const { world } = await told({ ...TOLD, wake });
    expect(await world.run(['policy'])).toBe(0);
    expect(world.terminal.stdout.split('\n')).toContain(line);
  });

  it('tells of a file that is wrong, and fails', async () => {
    const problems = [{ path: 'rules[0].do', problem: 'it is "stop"', advice: 'Write pause.' }];
    const { world } = await told({ ...TOLD, stance: 'free', rules: [], file: '/f', problems });
    expect(await world.run(['policy'])).toBe(1);
    expect(world.terminal.stdout).toContain('rules[0].do: it is "stop". Write pause.');
    expect(world.terminal.stdout).toContain('nothing is against claiming tasks');
    world.terminal.stdout = '';
    expect(await world.run(['policy', '--json'])).toBe(1);
    expect(JSON.parse(world.terminal.stdout)).toMatchObject({ file: '/f', problems });
  });

  it('prints the defaults to begin a file with, without a daemon', async () => {
    const world = new FakeWorld();
    expect(await world.run(['policy', '--defaults'])).toBe(0);
    const desktop = parse(world.terminal.stdout);
    world.terminal.stdout = '';
    expect(await world.run(['policy', '--defaults', '--battery'])).toBe(0);
    const laptop = parse(world.terminal.stdout);
    expect(laptop.rules.length).toBeGreaterThan(desktop.rules.length);
    expect(laptop).toMatchObject({
      version: 1,
      rules: [{ when: { onBattery: true } }, {}, {}, {}, {}],
    });
  });
});
