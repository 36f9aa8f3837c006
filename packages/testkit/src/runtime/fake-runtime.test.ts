import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ContainerSpec, peerId } from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import type { ContainerCommands, RuntimeBench } from '../conformance/container-bench.ts';
import { describeContainerRuntime } from '../conformance/describe-container-runtime.ts';
import { DirectProcess } from '../process/direct-process.ts';
import { freshRun, SMALL, sampleTask } from '../samples.ts';
import { CALM, faultAtCall } from '../simulation/fault-plan.ts';
import { World } from '../simulation/world.ts';
import { VirtualClock } from '../virtual-clock.ts';
import { ContainerHost } from './container-host.ts';
import type { ContainerPlan, FakeOutput } from './container-plan.ts';

const IMAGE = 'localhost/test:1';

/** Commands that are plans as JSON: what a shell is to a real image. */
const COMMANDS: ContainerCommands = {
  exits: (code) => [JSON.stringify({ code, durationMs: 10 })],
  prints: (stdout, stderr) => [JSON.stringify({ stdout, stderr, durationMs: 10 })],
  copies: (from, to) => [JSON.stringify({ durationMs: 10 }), from, to],
  fills: (path) => [JSON.stringify({ durationMs: 10, outputs: filled(path) })],
  writesTo: (fd, text) => [
    JSON.stringify({ durationMs: 10, outputs: { [`fd:${fd}`]: { kind: 'file', text } } }),
  ],
  waits: () => [JSON.stringify({ stdout: 'ready\n' })],
  waitsDeafly: () => [JSON.stringify({ stdout: 'ready\n', ignoresTerm: true })],
};

function filled(path: string): Record<string, FakeOutput> {
  return {
    [`${path}/a.txt`]: { kind: 'file', text: 'a\n' },
    [path]: {
      kind: 'dir',
      entries: [
        { kind: 'file', path: 'a.txt', text: 'a\n' },
        { kind: 'dir', path: 'sub' },
        { kind: 'file', path: 'sub/run', text: 'run\n', executable: true },
        { kind: 'symlink', path: 'sub/link', target: '../a.txt' },
      ],
    },
  };
}

function obey(spec: ContainerSpec): ContainerPlan {
  const [json = '{}', from = '', to = ''] = spec.command ?? [];
  const plan = JSON.parse(json) as Omit<Extract<ContainerPlan, { kind: 'runs' }>, 'kind'>;
  const name =
    Object.keys(spec.inputs).find((n) => from === (spec.mountAt?.[n] ?? `/in/${n}`)) ?? '';
  const input = spec.inputs[name];
  const nothing = { '/tmp/result.txt': undefined, '/tmp/results': undefined };
  const copied = input && { [to]: { kind: 'file', text: readFileSync(input, 'utf8') } as const };
  return { kind: 'runs', ...plan, outputs: { ...nothing, ...plan.outputs, ...copied } };
}

describeContainerRuntime('FakeRuntime', async (): Promise<RuntimeBench> => {
  const clock = new VirtualClock();
  const host = new ContainerHost(clock, 'machine', {
    script: obey,
    strictImages: true,
    images: new Map([[`sha256:${'1'.repeat(64)}`, [IMAGE]]]),
  });
  const folder = mkdtempSync(join(tmpdir(), 'podmesh-fake-runtime-'));
  return {
    runtime: host.runtimeFor(new DirectProcess('first', clock)),
    restarted: async () => host.runtimeFor(new DirectProcess('second', clock)),
    image: IMAGE,
    commands: COMMANDS,
    peer: peerId('peer-a'),
    scratchDir: async () => folder,
    inputFile: async (text) => {
      const path = join(folder, 'input');
      writeFileSync(path, text);
      return path;
    },
    advance: (ms) => clock.advance(ms),
    dispose: async () => rmSync(folder, { recursive: true }),
  };
});

describe('a fake container', () => {
  const spec: ContainerSpec = {
    labels: {
      run: freshRun(),
      task: sampleTask(),
      attempt: 1,
      peer: peerId('p'),
      claim: 'c' as never,
    },
    image: IMAGE,
    env: {},
    inputs: {},
    outputs: {},
    net: false,
    requirements: SMALL,
    scratchDir: '/nowhere',
  };
  const signal = new AbortController().signal;

  it('outlives the daemon that started it, and is found by the next one', async () => {
    const plan = { ...faultAtCall(1, 'crash-after'), restartMs: [1_000, 1_000] as const };
    const world = new World({ seed: 1, plan });
    const host = new ContainerHost(world, 'm');
    const found: number[] = [];
    world
      .machine('m', async (process) => {
        const runtime = host.runtimeFor(process);
        const leftovers = process.name === 'm#1' ? [] : await runtime.leftovers(spec.labels.peer);
        found.push(leftovers.length);
        for (const container of leftovers) {
          await container.wait();
          await container.remove();
        }
        if (process.name === 'm#1') await runtime.start(spec, () => undefined, signal);
      })
      .start();
    await world.run(60_000);
    expect(found).toEqual([0, 1]);
    expect(host.executions).toHaveLength(1);
    expect(host.containers).toEqual([]);
    expect(host.executions[0]?.exit?.code).toBe(0);
  });

  it('does not start when its script says so', async () => {
    const world = new World({ seed: 1, plan: CALM });
    const problem = { kind: 'disk', message: 'no space left' } as const;
    const script = () => ({ kind: 'start-failed', problem }) as const;
    const host = new ContainerHost(world, 'm', { script });
    const runtime = host.runtimeFor(new DirectProcess('p', world));
    const started = await runtime.start(spec, () => undefined, signal);
    expect(started).toEqual({ ok: false, error: problem });
    expect(host.executions).toEqual([]);
  });

  it('makes up the same outputs again', () => {
    const [first, second] = ['a', 'b'].map((name) => {
      const started = new ContainerHost(new VirtualClock(), name).start(spec);
      return started.ok ? started.value.outputAt({ kind: 'dir', path: '/x' }) : undefined;
    });
    expect(first).toBeDefined();
    expect(second).toEqual(first);
  });
});
