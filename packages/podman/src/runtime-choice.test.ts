import type { ContainerRuntime, ContainerSpec, RuntimeName } from '@podmesh/core';
import { peerId } from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import { RuntimeChoice } from './runtime-choice.ts';

function runtime(name: RuntimeName, trouble?: string) {
  const started: ContainerSpec[] = [];
  const fake = {
    describe: async () => ({ name, runtimes: [name] }),
    leftovers: async () => [name],
    probe: async () => trouble,
    start: async (spec: ContainerSpec) => {
      started.push(spec);
      return { ok: true, value: name };
    },
  };
  return { started, fake: fake as unknown as ContainerRuntime };
}

const spec = (wanted?: RuntimeName) =>
  ({ requirements: wanted === undefined ? {} : { runtime: wanted } }) as unknown as ContainerSpec;
const never = new AbortController().signal;

describe('RuntimeChoice', () => {
  it('starts where the task asks, and else where the machine prefers', async () => {
    const [crun, podman] = [runtime('crun'), runtime('podman')];
    const choice = new RuntimeChoice(crun.fake, podman.fake);
    for (const wanted of [undefined, 'crun', 'podman'] as const) {
      await choice.start(spec(wanted), () => undefined, never);
    }
    expect([crun.started.length, podman.started.length]).toEqual([2, 1]);
    expect(await choice.describe()).toMatchObject({ name: 'crun', runtimes: ['crun', 'podman'] });
  });

  it('refuses what is not here', async () => {
    const choice = new RuntimeChoice(runtime('podman').fake);
    const started = await choice.start(spec('crun'), () => undefined, never);
    expect(started).toMatchObject({ ok: false, error: { kind: 'runtime' } });
  });

  it('finds the left-overs of all, and the first that is ill', async () => {
    const choice = new RuntimeChoice(runtime('crun').fake, runtime('podman', 'no disk').fake);
    expect(await choice.leftovers(peerId('p'))).toEqual(['crun', 'podman']);
    expect(await choice.probe(peerId('p'), never)).toMatch(/^in the lane (podman|crun): no disk$/);
  });
});
