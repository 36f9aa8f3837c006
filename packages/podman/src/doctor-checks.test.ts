import { describe, expect, it } from 'vitest';
import { checkRootlessPodman, type DoctorMachine } from './doctor-checks.ts';

const INFO = {
  host: {
    arch: 'amd64',
    cgroupControllers: ['cpu', 'memory', 'pids'],
    cgroupManager: 'systemd',
    cgroupVersion: 'v2',
    ociRuntime: { name: 'crun' },
    security: { rootless: true },
  },
  store: { graphDriverName: 'overlay' },
  version: { Version: '5.4.2' },
};

function machine(changes: Partial<DoctorMachine> = {}, info: object = INFO): DoctorMachine {
  return {
    env: { PATH: '/usr/bin', XDG_RUNTIME_DIR: '/run/user/1000' },
    user: { name: 'ada', uid: 1000 },
    run: async (command, args) => {
      if (command === 'loginctl') return 'yes\n';
      return args[0] === 'info' ? JSON.stringify(info) : 'podman version 5.4.2\n';
    },
    read: async (path) => (path.startsWith('/etc/sub') ? 'ada:100000:65536\n' : ''),
    isUsable: async () => true,
    staticBusybox: async () => '/bin/busybox',
    cgroupBase: async () => undefined,
    userControllers: async () => undefined,
    tryContainer: async () => undefined,
    ...changes,
  };
}

const failing = async (changes: Partial<DoctorMachine>, info?: object) =>
  (await checkRootlessPodman(machine(changes, info))).filter(({ ok }) => !ok);

describe('checkRootlessPodman', () => {
  it('finds nothing wrong with a good machine', async () => {
    expect(await failing({})).toEqual([]);
  });

  it.each([
    ['unprivileged user', { user: { name: 'root', uid: 0 }, read: async () => 'root:1:2' }],
    [
      'subordinate ids',
      { read: async (path: string) => (path.startsWith('/etc') ? 'bob:1:2' : '') },
    ],
    [
      'newuidmap',
      { read: async (path: string) => (path.startsWith('/etc') ? 'ada:1:2' : undefined) },
    ],
    ['runtime directory', { env: { PATH: '/usr/bin' } }],
    ['network device', { isUsable: async (path: string) => path !== '/dev/net/tun' }],
    ['static busybox', { staticBusybox: async () => undefined }],
    ['a container runs', { tryContainer: async () => 'cgroups in hybrid mode not supported' }],
  ] as const)('names the repair of: %s', async (check, changes) => {
    const found = await failing(changes);
    expect(found.map((finding) => finding.check)).toEqual([check]);
    expect(found[0]?.repair).toBeTruthy();
  });

  it('says what a missing podman makes unknowable', async () => {
    const run = async () => {
      throw new Error('spawn podman ENOENT');
    };
    const found = await failing({ run });
    expect(found.map(({ check }) => check)).toEqual(['podman', 'storage driver', 'limits']);
  });

  it('is not fooled about limits', async () => {
    const host = (changes: object) => ({ ...INFO, host: { ...INFO.host, ...changes } });
    const limits = async (changes: object) => (await failing({}, host(changes)))[0]?.check;
    expect(await limits({ cgroupVersion: 'v1' })).toBe('limits');
    expect(await limits({ cgroupControllers: ['cpu', 'memory'] })).toBe('limits');
    expect(await limits({ cgroupManager: 'cgroupfs' })).toBe('limits');
    expect(
      await failing({ cgroupBase: async () => '/x' }, host({ cgroupManager: 'cgroupfs' })),
    ).toEqual([]);
    // In a service of the user that was given less than the user has.
    const ofUser = { userControllers: async () => ['cpu', 'memory', 'pids'] };
    expect(await failing(ofUser, host({ cgroupControllers: ['memory', 'pids'] }))).toEqual([]);
  });
});
