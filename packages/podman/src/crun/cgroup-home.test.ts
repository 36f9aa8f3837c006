import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CGROUP_ROOT } from '../container-cgroup.ts';
import { makeCgroup, presentCgroupHome } from './cgroup-home.ts';

describe('the cgroup of an attempt', () => {
  it('is not made where its base is gone, and the base does not come back', () => {
    const base = `podmesh-gone-${process.pid}.scope`;
    const make = () => makeCgroup({ base, limits: true }, `${base}/podmesh-crun.p.c`);
    expect(make).toThrow(
      expect.objectContaining({
        name: 'CrunFailedError',
        retryable: true,
        message: expect.stringContaining(`${base} is gone`),
      }),
    );
    expect(existsSync(join(CGROUP_ROOT, base))).toBe(false);
  });

  it('is where chains are started at that moment, and else with this process', async () => {
    const own = { base: '/own', limits: false };
    const scopes = ['/a.scope', '/b.scope', undefined];
    const spawner = { cgroup: async () => scopes.shift() };
    expect(await presentCgroupHome(spawner, own)).toEqual({ base: '/a.scope', limits: true });
    expect(await presentCgroupHome(spawner, own)).toEqual({ base: '/b.scope', limits: true });
    expect(await presentCgroupHome(spawner, own)).toBe(own);
  });
});
