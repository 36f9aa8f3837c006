import { expect, it } from 'vitest';
import { parseConfiguration } from './configuration.ts';

const words = (text: string): readonly string[] => text.split(' ').filter((word) => word !== '');
const parse = (text: string, env: NodeJS.ProcessEnv = { PODMESH_HOME: '/home' }) =>
  parseConfiguration(words(text), env, { cores: 8, memoryBytes: 16 * 2 ** 30 });

it('all problems are told at once, each by the word that causes it', () => {
  const told = parse('dance --cores none --memory much --disk 1x --label x --name a.b');
  const problems = told.ok ? [] : told.error;
  for (const word of [
    'dance',
    '--cores none',
    '--memory much',
    '--disk 1x',
    '--label x',
    '--name a.b',
  ]) {
    expect(problems.filter((problem) => problem.includes(word))).toHaveLength(1);
  }
  expect(told.ok).toBe(false);
});

it.each([
  '--cores 0',
  '--cores -1',
  '--cores x',
  '--cores 64',
  '--memory 17GiB',
  '--runtime docker',
  '--memory 1.2.3',
  '--disk 1pound',
  '--label =x',
  '--mirror https://docker.io',
  '--surprise',
  '--home',
  '--grace soon',
  '--exit-when-idle later',
  '--cloud mine',
  '--grace 25h',
  '--listen none',
  '--listen a/b',
])('%s is refused', (text) => {
  expect(parse(text).ok).toBe(false);
});

it('everything that can be told is understood', () => {
  const text =
    'doctor --home /h --nats nats://n --name n-1 --cores 1.5 --memory 2GiB --disk 1024' +
    ' --runtime crun --label room=kitchen --label a/b=c:d --allow-root --until-idle --grace 1.5m' +
    ' --listen 0.0.0.0:4223 --no-discovery --auto-anchors' +
    ' --exit-when-idle 15m --cloud auto --mirror docker.io --mirror quay.io=quay';
  expect(parse(text)).toEqual({
    ok: true,
    value: {
      command: 'doctor',
      home: '/h',
      nats: 'nats://n',
      name: 'n-1',
      cpus: 1.5,
      memoryBytes: 2 ** 31,
      diskBytes: 1024,
      runtime: 'crun',
      labels: ['room=kitchen', 'a/b=c:d'],
      mirrors: [
        { host: 'docker.io', prefix: 'docker.io' },
        { host: 'quay.io', prefix: 'quay' },
      ],
      allowRoot: true,
      untilIdle: true,
      graceMs: 90_000,
      listen: { host: '0.0.0.0', port: 4223 },
      discovery: false,
      autoAnchors: true,
      waitMs: 2_000,
      exitWhenIdleMs: 900_000,
      cloud: 'auto',
    },
  });
});

it('nothing told means a daemon with the defaults, and the mesh of the environment', () => {
  const told = {
    ...{ runtime: 'auto', labels: [], mirrors: [] },
    ...{ allowRoot: false, untilIdle: false, graceMs: 10_000 },
  };
  const network = { discovery: true, autoAnchors: false, waitMs: 2_000 };
  const defaults = { command: 'up', home: '/h', ...told, ...network };
  expect(parse('', { PODMESH_HOME: '/h' })).toEqual({ ok: true, value: defaults });
  const env = { PODMESH_HOME: '/h', PODMESH_NATS: 'nats://there' };
  expect(parse('up', env)).toEqual({ ok: true, value: { ...defaults, nats: 'nats://there' } });
  expect(parse('--nats nats://here', env)).toMatchObject({ value: { nats: 'nats://here' } });
  expect(parse('', { ...env, PODMESH_NATS: '' })).toEqual({ ok: true, value: defaults });
});

it('what the machine has not cannot be offered, and the refusal says what it has', () => {
  expect(parse('--cores 64 --memory 1TiB')).toEqual({
    ok: false,
    error: ['--cores 64: this machine has 8', '--memory 1TiB: this machine has 16,384 MiB'],
  });
  expect(parse('--cores 8 --memory 16GiB').ok).toBe(true);
});

it.each([
  ['none', 'none'],
  ['10.0.0.7', { host: '10.0.0.7', port: 0 }],
  ['10.0.0.7:4250', { host: '10.0.0.7', port: 4250 }],
  ['fd00::7', { host: 'fd00::7', port: 0 }],
  ['[fd00::7]:4250', { host: 'fd00::7', port: 4250 }],
])('serves artifacts at --serve %s', (text, serve) => {
  const machine = { cores: 2, memoryBytes: 2 ** 30 };
  expect(parseConfiguration(['--serve', text], {}, machine)).toMatchObject({ value: { serve } });
  expect(parseConfiguration(['--serve', `${text}/x`], {}, machine).ok).toBe(false);
});

const MACHINE = { cores: 4, memoryBytes: 2 ** 33 };

it('serves images at --registry-port, a port or 0', () => {
  const portOf = (text: string) => parseConfiguration([`--registry-port=${text}`], {}, MACHINE);
  expect(portOf('4711')).toMatchObject({ value: { registryPort: 4711 } });
  expect(portOf('0')).toMatchObject({ value: { registryPort: 0 } });
  for (const text of ['x', '-1', '65536', '1.5', '']) {
    expect(portOf(text)).toMatchObject({ error: [expect.stringContaining('give a port')] });
  }
  const { value } = parseConfiguration([], {}, MACHINE) as { value?: object };
  expect(value).not.toHaveProperty('registryPort');
});
