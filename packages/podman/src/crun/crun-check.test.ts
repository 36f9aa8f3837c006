import { describe, expect, it } from 'vitest';
import type { DoctorMachine } from '../doctor-checks.ts';
import { checkCrunLane } from './crun-check.ts';

const info = {
  host: {
    arch: 'amd64',
    ociRuntime: { name: 'crun', path: '/usr/bin/crun' },
    security: { rootless: true, selinuxEnabled: false },
  },
  store: { graphDriverName: 'overlay', graphOptions: {} },
};

function machine(answer: object, changes: Partial<DoctorMachine> = {}): DoctorMachine {
  return {
    env: {},
    user: { name: 'u', uid: 1000 },
    run: async () => JSON.stringify(answer),
    read: async () => undefined,
    isUsable: async () => true,
    staticBusybox: async () => '/bin/busybox',
    cgroupBase: async () => undefined,
    userControllers: async () => undefined,
    tryContainer: async () => undefined,
    ...changes,
  };
}

describe('checkCrunLane', () => {
  it('is content where all is there', async () => {
    expect(await checkCrunLane(machine(info))).toMatchObject({ ok: true, required: false });
  });

  it.each([
    [{ ...info, host: { ...info.host, ociRuntime: { name: 'runc' } } }, /runc.*Install crun/],
    [{ ...info, store: { graphDriverName: 'vfs' } }, /vfs.*driver="overlay"/],
    [{ ...info, store: { ...info.store, graphOptions: { 'overlay.mount_program': {} } } }, /FUSE/],
    [{ ...info, host: { ...info.host, security: { rootless: false } } }, /rootless/],
    [
      { ...info, host: { ...info.host, security: { rootless: true, selinuxEnabled: true } } },
      /SELinux/,
    ],
  ])('says why not, and what to do (%#)', async (answer, words) => {
    const finding = await checkCrunLane(machine(answer));
    expect(finding).toMatchObject({ ok: false, required: false });
    expect(finding.found).toMatch(words);
    expect(finding.repair).toBeDefined();
  });

  it('names what a mount, or Podman, says', async () => {
    const run = async () => Promise.reject(new Error('mount: permission denied'));
    expect(await checkCrunLane(machine(info, { run }))).toMatchObject({
      ok: false,
      found: 'mount: permission denied',
    });
    const staticBusybox = async () => undefined;
    const none = await checkCrunLane(machine(info, { staticBusybox }));
    expect(none.repair).toContain('busybox-static');
  });
});
