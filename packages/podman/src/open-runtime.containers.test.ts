import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTestbed, type Testbed } from './container-testbed.test-kit.ts';
import { openRuntime, type RuntimeOptions } from './open-runtime.ts';

let bed: Testbed;
beforeAll(async () => {
  bed = await openTestbed();
});
afterAll(() => bed.close());

function options(changes: Partial<RuntimeOptions> = {}): RuntimeOptions {
  const { socketPath } = bed.service;
  const directory = join(bed.directory, 'fast');
  return { socketPath, env: process.env, directory, peer: bed.peer, choice: 'auto', ...changes };
}

describe('openRuntime', () => {
  it('prefers the fast lane where a canary came back from it', async () => {
    const { runtime, crunProblem, close } = await openRuntime(options());
    expect(crunProblem).toBeUndefined();
    expect(await runtime.describe()).toMatchObject({ name: 'crun', runtimes: ['crun', 'podman'] });
    expect(await runtime.probe(bed.peer, new AbortController().signal)).toBeUndefined();
    await close();
    await close();
  });

  it('takes Podman where that is wanted', async () => {
    const { runtime, crunProblem, close } = await openRuntime(options({ choice: 'podman' }));
    expect(crunProblem).toBeUndefined();
    expect(await runtime.describe()).toMatchObject({ name: 'podman', runtimes: ['podman'] });
    await close();
  });

  it('says why there is no fast lane, and refuses when it was asked for', async () => {
    const busyboxPath = join(bed.directory, 'no-busybox');
    const { runtime, crunProblem, close } = await openRuntime(options({ busyboxPath }));
    expect(crunProblem).toContain('busybox-static');
    expect(await runtime.describe()).toMatchObject({ name: 'podman', runtimes: ['podman'] });
    await close();
    await expect(openRuntime(options({ busyboxPath, choice: 'crun' }))).rejects.toMatchObject({
      name: 'CrunUnavailableError',
      message: expect.stringContaining('busybox-static'),
    });
    const directory = join(bed.directory, 'a,b');
    expect((await openRuntime(options({ directory }))).crunProblem).toContain('a,b');
  });
});
