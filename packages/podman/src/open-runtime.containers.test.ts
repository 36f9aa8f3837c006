import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { collect, openTestbed, type Testbed } from './container-testbed.test-kit.ts';
import { lanePlaces } from './crun/lane-places.ts';
import { processesOf } from './crun/machine-view.test-kit.ts';
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

  it('finds what an earlier daemon left in the fast lane, though Podman is wanted now', async () => {
    const { runtime, close } = await leave('echo ready; exec sleep 1000');
    expect(await runtime.describe()).toMatchObject({ name: 'podman', runtimes: ['podman'] });
    const [found, ...others] = await runtime.leftovers(bed.peer);
    expect(others).toEqual([]);
    found?.replayLog(() => undefined);
    await found?.stop(0);
    expect(await found?.wait()).toMatchObject({ code: 137, signal: 'SIGKILL' });
    await found?.remove();
    expect(await runtime.leftovers(bed.peer)).toEqual([]);
    await close();
    const ofLane = join(bed.directory, 'fast');
    await vi.waitFor(async () => expect(await processesOf(ofLane)).toEqual([]), 20_000);
  });

  it('sweeps what a daemon left that was killed in the fast lane while it was idle', async () => {
    const directory = join(bed.directory, 'killed');
    const before = await openRuntime(options({ directory, choice: 'crun' }));
    const filter = `label=podmesh.recipe=${directory}`;
    expect(await bed.podman('ps', '-aq', '--filter', filter)).not.toBe('');
    const { run } = lanePlaces(directory);
    expect(existsSync(run)).toBe(true);
    // Not closed: nothing of it is cleared away.
    const after = await openRuntime(options({ directory, choice: 'podman' }));
    expect(after.sweepProblem).toBeUndefined();
    expect(await bed.podman('ps', '-aq', '--filter', filter)).toBe('');
    expect(existsSync(run)).toBe(false);
    expect(existsSync(directory)).toBe(false);
    await after.close();
    await before.close();
  });

  it('sweeps what does not need the lane where that cannot be opened', async () => {
    const directory = join(bed.directory, 'killed-too');
    const before = await openRuntime(options({ directory, choice: 'crun' }));
    const filter = `label=podmesh.recipe=${directory}`;
    const { run } = lanePlaces(directory);
    const busyboxPath = join(bed.directory, 'no-busybox');
    const after = await openRuntime(options({ directory, busyboxPath, choice: 'podman' }));
    expect(after.sweepProblem).toContain('busybox-static');
    expect(await bed.podman('ps', '-aq', '--filter', filter)).toBe('');
    expect(existsSync(run)).toBe(false);
    await after.close();
    await before.close();
  });

  it('ends what it cannot look after', async () => {
    const busyboxPath = join(bed.directory, 'no-busybox');
    const left = await leave('echo ready; exec sleep 1000', { choice: 'auto', busyboxPath });
    expect(left.crunProblem).toContain('busybox-static');
    expect(left.endedProblem).toContain('busybox-static');
    expect(await left.runtime.leftovers(bed.peer)).toEqual([]);
    const ofLane = join(bed.directory, 'fast');
    await vi.waitFor(async () => expect(await processesOf(ofLane)).toEqual([]), 20_000);
    await left.close();
    // A lane that opens again clears away what that one could not.
    await (await openRuntime(options())).close();
  });
});

/** Starts a container in the fast lane and opens the runtimes again, as a daemon started otherwise does. */
async function leave(script: string, changes: Partial<RuntimeOptions> = { choice: 'podman' }) {
  const before = await openRuntime(options({ choice: 'crun' }));
  const log = collect();
  const spec = await bed.spec({ command: ['/bin/sh', '-c', script] });
  const started = await before.runtime.start(spec, log.sink, new AbortController().signal);
  expect(started).toMatchObject({ ok: true });
  await expect.poll(log.out, { timeout: 120_000, interval: 5 }).toBe('ready\n');
  await before.close();
  return await openRuntime(options(changes));
}
