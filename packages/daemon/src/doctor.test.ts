import type { DoctorMachine } from '@podmesh/podman';
import { expect, it } from 'vitest';
import { examineMachine } from './doctor.ts';

/** A machine with rootless Podman, whose containers are run by that program. */
function machineWith(ociRuntime: string): DoctorMachine {
  const info = {
    host: {
      arch: 'amd64',
      cgroupControllers: ['cpu', 'memory', 'pids'],
      cgroupManager: 'systemd',
      cgroupVersion: 'v2',
      ociRuntime: { name: ociRuntime },
      security: { rootless: true },
    },
    store: { graphDriverName: 'overlay', graphOptions: {} },
    version: { Version: '5.4.2' },
  };
  return {
    env: { PATH: '/usr/bin', XDG_RUNTIME_DIR: '/run/user/1000' },
    user: { name: 'ada', uid: 1000 },
    run: async (_, args) => (args[0] === 'info' ? JSON.stringify(info) : 'podman version 5.4.2'),
    read: async () => 'ada:100000:65536\n',
    isUsable: async () => true,
    staticBusybox: async () => '/bin/busybox',
    cgroupBase: async () => undefined,
    userControllers: async () => undefined,
    tryContainer: async () => undefined,
  };
}

it.each([
  ['crun', true],
  ['runc', false],
])('tells whether the fast lane works beside what Podman needs: with %s %s', async (name, ok) => {
  const findings = await examineMachine({ PATH: '' }, machineWith(name));
  const lane = findings.find(({ check }) => check.includes('fast lane'));
  expect(lane).toMatchObject({ ok, required: false });
  if (!ok) expect(`${lane?.found} ${lane?.repair}`).toMatch(/runc.*crun/);
  for (const check of ['podman', 'nats-server']) {
    expect(findings.map((finding) => finding.check)).toContain(check);
  }
});
