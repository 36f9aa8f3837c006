import { isDigest } from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import { type MakeBench, useBench } from './bench.ts';
import {
  ended,
  passed,
  type RuntimeBench,
  startContainer,
  type UseRuntime,
} from './container-bench.ts';
import { leftoverTests } from './container-leftovers.ts';
import { outputTests } from './container-outputs.ts';

/** What every container runtime must do, whatever is behind it. */
export function describeContainerRuntime(name: string, make: MakeBench<RuntimeBench>): void {
  describe(`${name}: ContainerRuntime`, () => {
    const use = useBench(make);
    describe('images', () => {
      imageTests(use);
    });
    describe('a container', () => {
      endTests(use);
      stopTests(use);
    });
    describe('outputs', () => {
      outputTests(use);
    });
    describe('from outside', () => {
      measureTests(use);
    });
    describe('leftovers', () => {
      leftoverTests(use);
    });
  });
}

function measureTests(use: UseRuntime): void {
  it('measures a running container, and never throws', async () => {
    const bench = use();
    const { container, ready } = await startContainer(bench, bench.commands.waits());
    await ready;
    const { memoryBytes, processes, scratchBytes } = await container.sample();
    expect(memoryBytes ?? 1).toBeGreaterThan(0);
    expect(processes ?? 1).toBeGreaterThan(0);
    expect(scratchBytes ?? 0).toBeGreaterThanOrEqual(0);
    await container.stop(0);
    await container.sample();
    await container.remove();
    await container.sample();
  });

  it('sends a canary that comes back and leaves nothing', async () => {
    const { runtime, peer } = use();
    expect(await runtime.probe(peer, new AbortController().signal)).toBeUndefined();
    expect(await runtime.leftovers(peer)).toEqual([]);
  });
}

function imageTests(use: UseRuntime): void {
  const never = new AbortController().signal;

  it('describes itself', async () => {
    const description = await use().runtime.describe();
    expect(description.name).not.toBe('');
    for (const enforcer of Object.values(description.limits)) {
      expect(['kernel', 'watched', 'none']).toContain(enforcer);
    }
    expect(description.arch).not.toBe('');
  });

  it('finds an image by reference and by id, and lists it', async () => {
    const { runtime, image } = use();
    const byReference = await runtime.resolveImage(image, false, never);
    const id = byReference.ok ? byReference.value : '';
    expect(isDigest(id)).toBe(true);
    expect(await runtime.resolveImage(id, false, never)).toEqual(byReference);
    expect((await runtime.images()).get(id)).toContain(image);
  });

  it('says that an image is not there', async () => {
    const { runtime } = use();
    const missing = await runtime.resolveImage('localhost/no-such-image:1', false, never);
    expect(missing).toMatchObject({ ok: false, error: { kind: 'unavailable' } });
    expect(missing.ok ? '' : missing.error.message).toContain('localhost/no-such-image:1');
  });
}

function endTests(use: UseRuntime): void {
  it.each([0, 7])('ends with exit code %i, told to all who wait', async (code) => {
    const bench = use();
    const { container } = await startContainer(bench, bench.commands.exits(code));
    const exit = await ended(bench, container);
    expect(exit).toMatchObject({ code, oomKilled: false });
    expect(exit).not.toHaveProperty('signal');
    expect(exit.wallMs).toBeGreaterThanOrEqual(0);
    expect(Date.parse(exit.startedAt)).toBeLessThanOrEqual(Date.parse(exit.finishedAt));
    expect(await container.wait()).toEqual(exit);
  });

  it('hands over all output before it has ended', async () => {
    const bench = use();
    const command = bench.commands.prints('out ✓\n', 'err\n');
    const { container, printed } = await startContainer(bench, command);
    await ended(bench, container);
    expect(printed).toEqual({ stdout: 'out ✓\n', stderr: 'err\n' });
  });

  it('carries its labels', async () => {
    const bench = use();
    const { container, spec } = await startContainer(bench, bench.commands.exits(0));
    expect(container.labels).toEqual(spec.labels);
  });
}

function stopTests(use: UseRuntime): void {
  it('ends on SIGTERM', async () => {
    const bench = use();
    const { container, ready } = await startContainer(bench, bench.commands.waits());
    await ready;
    await passed(bench, 1_000, container.stop(10_000));
    expect(await container.wait()).toMatchObject({ code: 143, signal: 'SIGTERM' });
  });

  it('is killed when SIGTERM does not end it', async () => {
    const bench = use();
    const { container, ready } = await startContainer(bench, bench.commands.waitsDeafly());
    await ready;
    await passed(bench, 1_000, container.stop(500));
    expect(await container.wait()).toMatchObject({ code: 137, signal: 'SIGKILL' });
  });

  it('is killed at once without grace; stopping the dead is harmless', async () => {
    const bench = use();
    const { container } = await startContainer(bench, bench.commands.waitsDeafly());
    await passed(bench, 10, container.stop(0));
    expect(await container.wait()).toMatchObject({ code: 137, signal: 'SIGKILL' });
    await container.stop(0);
  });

  it('is gone when removed, running or not; twice is harmless', async () => {
    const bench = use();
    const { container } = await startContainer(bench, bench.commands.waits());
    await container.remove();
    await container.remove();
    expect(await bench.runtime.leftovers(bench.peer)).toEqual([]);
  });
}
