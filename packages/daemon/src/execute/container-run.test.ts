import {
  type ContainerRuntime,
  claimId,
  KILL_GRACE_MS,
  type Offer,
  ok,
  peerId,
  type RunningContainer,
} from '@podmesh/core';
import {
  type ContainerPlan,
  freshLane,
  freshRun,
  SAMPLE_MACHINE,
  sampleArtifact,
  sampleOffer,
} from '@podmesh/testkit';
import { describe, expect, it } from 'vitest';
import { MemoryFiles, newBench, settled } from '../daemon.test-kit.ts';
import { ContainerRun } from './container-run.ts';
import type { StopReason } from './outcome.ts';

interface Wish {
  readonly plan?: Partial<Extract<ContainerPlan, { kind: 'runs' }>> | ContainerPlan;
  readonly offer?: Partial<Offer>;
  readonly runtime?: (real: ContainerRuntime) => ContainerRuntime;
}

function newRun({ plan = {}, offer: wanted = {}, runtime = (real) => real }: Wish) {
  const bench = newBench(() => ({ kind: 'runs', durationMs: 100, ...plan }) as ContainerPlan);
  const offer = { ...sampleOffer(freshRun(), freshLane()), ...wanted };
  const stop = new AbortController();
  const files = new MemoryFiles();
  const parts = {
    runtime: runtime(bench.runtime),
    files,
    clock: bench.process.clock,
    machine: () => SAMPLE_MACHINE,
    peer: peerId('p'),
  };
  const spool = files.openLog();
  const run = new ContainerRun(parts, offer, spool, stop.signal);
  const { run: id, task, attempt } = offer;
  const labels = { run: id, task, attempt, peer: peerId('p'), claim: claimId('claim-1') };
  const start = () => settled(bench.clock, run.execute(undefined, labels, spool.write));
  const abort = (reason: StopReason) => stop.abort(reason);
  return { ...bench, run, start, abort, files };
}

/** The runtime with containers whose `stop` fails so many times. */
function deafTo(stops: number, heard: number[]) {
  return (real: ContainerRuntime): ContainerRuntime => ({
    describe: () => real.describe(),
    images: () => real.images(),
    resolveImage: (name, pull, signal) => real.resolveImage(name, pull, signal),
    loadImage: (path, signal) => real.loadImage(path, signal),
    leftovers: (peer) => real.leftovers(peer),
    start: async (spec, log, signal) => {
      const started = await real.start(spec, log, signal);
      return started.ok ? ok(deaf(started.value)) : started;
    },
  });
  function deaf(container: RunningContainer): RunningContainer {
    return {
      labels: container.labels,
      replayLog: (log) => container.replayLog(log),
      wait: () => container.wait(),
      readOutput: (output) => container.readOutput(output),
      remove: () => container.remove(),
      stop: async (graceMs) => {
        heard.push(graceMs);
        if (heard.length <= stops) throw new Error('the service is away');
        await container.stop(graceMs);
      },
    };
  }
}

describe('the run of a container', () => {
  it('gives a result with outputs, log and the image it meant', async () => {
    const { start, files, host } = newRun({ plan: { stdout: 'hello\n' } });
    const ending = await start();
    expect(ending).toMatchObject({
      kind: 'succeeded',
      result: {
        exit: { code: 0 },
        outputs: { out1: { kind: 'file' } },
        log: { digest: sampleArtifact(Buffer.from('hello\n')).ref.digest },
        image: host.executions[0]?.spec.image,
      },
    });
    expect(files.stored).toHaveLength(1);
  });

  it('that takes too long ends as timeout, with its exit and the end of its log', async () => {
    const { start, host } = newRun({
      plan: { stdout: 'working', durationMs: 5_000 },
      offer: { timeoutMs: 1_000 },
    });
    expect(await start()).toMatchObject({
      kind: 'failed',
      failure: { kind: 'timeout', exit: { signal: 'SIGTERM' }, stderrTail: 'working' },
    });
    expect(host.executions[0]?.endedMs).toBe(1_000);
  });

  it('is told to stop until it is heard, at last without grace', async () => {
    const heard: number[] = [];
    const { start } = newRun({
      plan: { durationMs: 1e9 },
      offer: { timeoutMs: 1_000 },
      runtime: deafTo(3, heard),
    });
    expect(await start()).toMatchObject({ failure: { kind: 'timeout' } });
    expect(heard).toEqual([KILL_GRACE_MS, 0, 0, 0]);
  });

  it('is not started any more once it was cancelled', async () => {
    const { start, abort, host } = newRun({});
    abort('cancelled');
    expect(await start()).toMatchObject({ kind: 'failed', failure: { kind: 'cancelled' } });
    expect(host.executions).toEqual([]);
  });

  it.each([
    ['cancelled', 1_000 + KILL_GRACE_MS],
    ['drained', 1_000 + KILL_GRACE_MS],
    // Somebody else may have the task at any moment.
    ['lease-lost', 1_000],
  ] as const)('that is %s is ended by then, and says why', async (reason, endedMs) => {
    const { start, abort, clock, host } = newRun({ plan: { durationMs: 1e9, ignoresTerm: true } });
    clock.after(1_000, () => abort(reason));
    expect(await start()).toMatchObject({ kind: 'failed', failure: { kind: reason } });
    expect(host.executions[0]?.endedMs).toBe(endedMs);
  });

  it('that leaves no output is output-missing, and names the output', async () => {
    const { start } = newRun({ plan: { outputs: { '/out': undefined } } });
    const ending = await start();
    expect(ending).toMatchObject({ kind: 'failed', failure: { kind: 'output-missing' } });
    expect(JSON.stringify(ending)).toContain('output out1: there is nothing at /out');
  });

  it.each([
    ['command', 'exit'],
    ['disk', 'disk-host'],
    ['runtime', 'start-failed'],
  ] as const)('that cannot start for %s fails as %s', async (kind, expected) => {
    const problem = { kind, message: 'told by the runtime' };
    const { start } = newRun({ plan: { kind: 'start-failed', problem } });
    expect(await start()).toMatchObject({
      failure: { kind: expected, message: 'told by the runtime' },
    });
  });

  it('whose image archive is none fails as image-unavailable', async () => {
    const archive = sampleArtifact(Buffer.from('no image')).ref.digest;
    const { start } = newRun({ offer: { image: { kind: 'archive', archive } } });
    expect(await start()).toMatchObject({ failure: { kind: 'image-unavailable' } });
  });

  it('removes its container when cleaned up, and not before', async () => {
    const { start, run, host, clock } = newRun({});
    await start();
    expect(host.containers).toHaveLength(1);
    await settled(clock, run.cleanUp());
    expect(host.containers).toEqual([]);
  });
});
