import type { ContainerRuntime, ContainerSpec, RunningContainer, RuntimeName } from '@podmesh/core';
import { peerId } from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import { RuntimeChoice } from './runtime-choice.ts';

function runtime(name: RuntimeName, trouble?: string) {
  const started: ContainerSpec[] = [];
  const found = [container(name)];
  const fake = {
    describe: async () => ({ name, runtimes: [name] }),
    leftovers: async () => found,
    probe: async (): Promise<string | undefined> => trouble,
    start: async (spec: ContainerSpec) => {
      started.push(spec);
      return { ok: true, value: name };
    },
  };
  return { started, found, fake: fake as typeof fake & ContainerRuntime };
}

/** One of a run of that name. */
function container(run: string): RunningContainer {
  return { labels: { run } } as unknown as RunningContainer;
}

const spec = (wanted?: RuntimeName) =>
  ({ requirements: wanted === undefined ? {} : { runtime: wanted } }) as unknown as ContainerSpec;
const never = new AbortController().signal;

describe('RuntimeChoice', () => {
  it('starts where the task asks, and else where the machine prefers', async () => {
    const [crun, podman] = [runtime('crun'), runtime('podman')];
    const choice = new RuntimeChoice(crun.fake, [podman.fake]);
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
    const choice = new RuntimeChoice(runtime('crun').fake, [runtime('podman', 'no disk').fake]);
    expect(await choice.leftovers(peerId('p'))).toMatchObject(['crun', 'podman'].map(container));
    expect(await choice.probe(peerId('p'), never)).toMatch(/^in the lane (podman|crun): no disk$/);
  });

  it('finds left-overs where nothing is started any more', async () => {
    const [podman, crun] = [runtime('podman'), runtime('crun', 'not asked')];
    const choice = new RuntimeChoice(podman.fake, [], [crun.fake]);
    expect(await choice.leftovers(peerId('p'))).toMatchObject(['podman', 'crun'].map(container));
    expect(await choice.describe()).toMatchObject({ name: 'podman', runtimes: ['podman'] });
    expect(await choice.probe(peerId('p'), never)).toBeUndefined();
    expect((await choice.start(spec('crun'), () => undefined, never)).ok).toBe(false);
    expect(crun.started).toEqual([]);
  });

  it('takes a canary that flies for nobody, and a dead one for a left-over', async () => {
    const podman = runtime('podman');
    podman.found.push(container('canary000000'));
    const choice = new RuntimeChoice(podman.fake);
    const runs = async () => (await choice.leftovers(peerId('p'))).map(({ labels }) => labels.run);
    let land: () => void = () => undefined;
    podman.fake.probe = () =>
      new Promise((resolve) => {
        land = () => resolve(undefined);
      });
    const probed = choice.probe(peerId('p'), never);
    expect(await runs()).toEqual(['podman']);
    land();
    await probed;
    expect(await runs()).toEqual(['podman', 'canary000000']);
    podman.fake.probe = () => Promise.reject(new Error('no answer'));
    await expect(choice.probe(peerId('p'), never)).rejects.toThrow('no answer');
    expect(await runs()).toHaveLength(2);
  });
});
