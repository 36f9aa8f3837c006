import {
  ArtifactMissingError,
  ContainerLostError,
  type ContainerRuntime,
  claimId,
  KILL_GRACE_MS,
  type LimitsEnforced,
  type Offer,
  ok,
  PortError,
  peerId,
  type RunningContainer,
} from '@podmesh/core';
import {
  type ContainerPlan,
  freshLane,
  freshRun,
  SAMPLE_MACHINE,
  SMALL,
  sampleArtifact,
  sampleOffer,
} from '@podmesh/testkit';
import { describe, expect, it, vi } from 'vitest';
import { MemoryFiles, newBench, settled } from '../daemon.test-kit.ts';
import { ContainerRun } from './container-run.ts';
import { CANCELLED, DRAINED, LEASE_LOST, type StopOrder, wrongInput } from './stop-order.ts';

interface Wish {
  readonly plan?: Partial<Extract<ContainerPlan, { kind: 'runs' }>> | ContainerPlan;
  readonly offer?: Partial<Offer>;
  readonly runtime?: (real: ContainerRuntime) => ContainerRuntime;
  readonly limits?: LimitsEnforced;
}

const WATCHED: LimitsEnforced = {
  memory: 'watched',
  cpus: 'none',
  pids: 'watched',
  disk: 'watched',
};

function newRun({ plan = {}, offer: wanted = {}, runtime = same, limits = WATCHED }: Wish) {
  const bench = newBench(() => ({ kind: 'runs', durationMs: 100, ...plan }) as ContainerPlan);
  const offer = { ...sampleOffer(freshRun(), freshLane()), ...wanted };
  const stop = new AbortController();
  const files = new MemoryFiles();
  const parts = {
    runtime: runtime(bench.runtime),
    files,
    clock: bench.process.clock,
    machine: () => SAMPLE_MACHINE,
    limits: () => limits,
    peer: peerId('p'),
  };
  const spool = files.openLog('claim-1');
  const run = new ContainerRun(parts, {
    offer,
    claim: claimId('claim-1'),
    spool,
    stop: stop.signal,
  });
  const { run: id, task, attempt } = offer;
  const labels = { run: id, task, attempt, peer: peerId('p'), claim: claimId('claim-1') };
  const start = () => settled(bench.clock, run.execute(undefined, labels, spool.write));
  /** What an earlier session started. */
  const adopt = async () => {
    const spec = { labels, image: 'i', env: {}, inputs: {}, outputs: {}, net: false };
    const whole = { ...spec, requirements: SMALL, scratchDir: '/memory' };
    await settled(
      bench.clock,
      bench.runtime.start(whole, () => undefined, stop.signal),
    );
    const found = await settled(bench.clock, parts.runtime.leftovers(labels.peer));
    const [container] = found;
    if (container === undefined) throw new Error('not found');
    return settled(bench.clock, run.adopt(container, 'i'));
  };
  const abort = (order: StopOrder) => stop.abort(order);
  return { ...bench, run, start, adopt, abort, files, offer, spool, stop };
}

const same = (runtime: ContainerRuntime): ContainerRuntime => runtime;

/** The runtime with containers whose `stop` fails so many times. */
function deafTo(stops: number, heard: number[]) {
  return (real: ContainerRuntime): ContainerRuntime =>
    changed(real, {
      stop: async (graceMs, container) => {
        heard.push(graceMs);
        if (heard.length <= stops) throw new Error('the service is away');
        await container.stop(graceMs);
      },
    });
}

interface Changes {
  readonly stop?: (graceMs: number, container: RunningContainer) => Promise<void>;
  readonly wait?: RunningContainer['wait'];
}

/** The runtime with containers that do something else. */
function changed(real: ContainerRuntime, { stop, wait }: Changes): ContainerRuntime {
  return {
    describe: () => real.describe(),
    images: () => real.images(),
    resolveImage: (name, pull, signal) => real.resolveImage(name, pull, signal),
    loadImage: (path, signal) => real.loadImage(path, signal),
    leftovers: async (peer) => (await real.leftovers(peer)).map(odd),
    probe: (peer, signal) => real.probe(peer, signal),
    start: async (spec, log, signal) => {
      const started = await real.start(spec, log, signal);
      return started.ok ? ok(odd(started.value)) : started;
    },
  };
  function odd(container: RunningContainer): RunningContainer {
    return {
      labels: container.labels,
      replays: container.replays,
      replayLog: (log) => container.replayLog(log),
      wait: wait ?? (() => container.wait()),
      readOutput: (output) => container.readOutput(output),
      sample: () => container.sample(),
      remove: () => container.remove(),
      stop: (graceMs) => stop?.(graceMs, container) ?? container.stop(graceMs),
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
    abort(CANCELLED);
    expect(await start()).toMatchObject({ kind: 'failed', failure: { kind: 'cancelled' } });
    expect(host.executions).toEqual([]);
  });

  it.each([
    [CANCELLED, 1_000 + KILL_GRACE_MS],
    [DRAINED, 1_000 + KILL_GRACE_MS],
    // Somebody else may have the task at any moment.
    [LEASE_LOST, 1_000],
  ])('that is told $kind is ended by then, and says why', async (order, endedMs) => {
    const { start, abort, clock, host } = newRun({ plan: { durationMs: 1e9, ignoresTerm: true } });
    clock.after(1_000, () => abort(order));
    expect(await start()).toMatchObject({ kind: 'failed', failure: order });
    expect(host.executions[0]?.endedMs).toBe(endedMs);
  });

  it('whose input is found wrong while it runs is ended at once, and names the input', async () => {
    const { start, abort, clock, host } = newRun({ plan: { durationMs: 1e9, ignoresTerm: true } });
    const { digest } = sampleArtifact(Buffer.from('wrong')).ref;
    clock.after(1_000, () => abort(wrongInput([digest])));
    const failure = { kind: 'input-missing', missing: [digest] };
    expect(await start()).toMatchObject({ kind: 'failed', failure });
    expect(host.executions[0]?.endedMs).toBe(1_000);
  });

  it('whose input is found wrong when it has ended is no success', async () => {
    const { start, abort, files } = newRun({});
    const { digest } = sampleArtifact(Buffer.from('wrong')).ref;
    const { storeOutput } = files;
    files.storeOutput = async (...output) => {
      abort(wrongInput([digest]));
      return await storeOutput.apply(files, output);
    };
    expect(await start()).toMatchObject({ failure: { kind: 'input-missing', missing: [digest] } });
  });

  it('that leaves no output is output-missing, and names the output', async () => {
    const { start } = newRun({ plan: { outputs: { '/out': undefined } } });
    const ending = await start();
    expect(ending).toMatchObject({ kind: 'failed', failure: { kind: 'output-missing' } });
    expect(JSON.stringify(ending)).toContain('output out1: there is nothing at /out');
  });

  it('keeps, of a command that failed, the outputs that are meant for that', async () => {
    const outputs = {
      record: { kind: 'file', path: '/record', onFailure: true },
      missing: { kind: 'file', path: '/missing', onFailure: true },
      out1: { kind: 'file', path: '/out' },
    } as const;
    const left = { '/record': { kind: 'file', text: '{}' }, '/missing': undefined } as const;
    const plan = { code: 1, outputs: left };
    const failure = { kind: 'exit', outputs: { record: sampleArtifact(Buffer.from('{}')).ref } };
    expect(await newRun({ plan, offer: { outputs } }).start()).toMatchObject({ failure });
    // They are held apart, attempt by attempt, and nobody who ends the attempt waits for other disks.
    const { start, files, offer, spool, stop } = newRun({ plan, offer: { outputs } });
    const { run, task, attempt } = offer;
    const [storing, logging] = [vi.spyOn(files, 'storeOutput'), vi.spyOn(spool, 'store')];
    await start();
    const owner = { run, task, apart: true, attempt };
    expect(storing.mock.calls).toEqual([['file', expect.anything(), owner, stop.signal]]);
    expect(logging.mock.calls).toEqual([[stop.signal]]);
    const none = await newRun({ plan, offer: { outputs: { out1: outputs.out1 } } }).start();
    expect(none).toMatchObject({ failure: { kind: 'exit' } });
    expect(JSON.stringify(none)).not.toContain('outputs');
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

  it('whose input nobody has names the input, and not what lies deep in it', async () => {
    const { ref } = sampleArtifact(Buffer.from('an input'));
    const { start, files } = newRun({ offer: { inputs: { in0: { ...ref, kind: 'dir' } } } });
    const deep = sampleArtifact(Buffer.from('deep in it')).ref.digest;
    files.input = () => Promise.reject(new ArtifactMissingError(deep));
    const missing = [ref.digest];
    const failure = { kind: 'input-missing', missing, inputs: { in0: ref.digest } };
    expect(await start()).toMatchObject({ kind: 'failed', failure });
  });

  it('whose image archive nobody has names the archive', async () => {
    const { digest } = sampleArtifact(Buffer.from('an archive')).ref;
    const { start, files } = newRun({ offer: { image: { kind: 'archive', archive: digest } } });
    files.missing.add(digest);
    const failure = { kind: 'input-missing', missing: [digest] };
    expect(await start()).toMatchObject({ kind: 'failed', failure });
  });

  it('whose image archive is none fails as image-unavailable', async () => {
    const archive = sampleArtifact(Buffer.from('no image')).ref.digest;
    const { start } = newRun({ offer: { image: { kind: 'archive', archive } } });
    expect(await start()).toMatchObject({ failure: { kind: 'image-unavailable' } });
  });

  const MIB = 2 ** 20;
  const large = { ...SMALL, diskBytes: 256 * MIB };

  it.each([
    ['oom-task', { memoryBytes: 65 * MIB }, 'more than its 64 MiB'],
    ['disk-task', { scratchBytes: 257 * MIB }, 'more than its 256 MiB'],
    ['exit', { processes: 5_000 }, '5000 processes'],
  ] as const)('that exceeds a watched limit is ended at once as %s', async (kind, sample, told) => {
    const { start, host } = newRun({
      plan: { durationMs: 60_000, ignoresTerm: true, sample },
      offer: { requirements: large },
    });
    const ending = await start();
    expect(ending).toMatchObject({ kind: 'failed', failure: { kind } });
    expect(JSON.stringify(ending)).toContain(told);
    expect(host.executions[0]?.endedMs).toBe(250);
  });

  it('that the kernel holds to its limits is not measured', async () => {
    const { start } = newRun({
      plan: { durationMs: 60_000, sample: { memoryBytes: 1e12, scratchBytes: 1e12 } },
      limits: { memory: 'kernel', cpus: 'kernel', pids: 'kernel', disk: 'watched' },
      offer: { timeoutMs: 100_000 },
    });
    expect(await start()).toMatchObject({ kind: 'succeeded' });
  });

  it('whose outputs together are more than its disk fails as disk-task', async () => {
    // Nobody measured it while it ran; what it left is read in pieces.
    const text = 'x'.repeat(1.5 * MIB);
    const outputs = {
      one: { kind: 'file', path: '/one' },
      two: { kind: 'file', path: '/two' },
    } as const;
    const left = { '/one': { kind: 'file', text }, '/two': { kind: 'file', text } } as const;
    const { start, files } = newRun({
      plan: { outputs: left },
      offer: { requirements: { ...large, diskBytes: 2 * MIB }, outputs },
    });
    const ending = await start();
    expect(ending).toMatchObject({ kind: 'failed', failure: { kind: 'disk-task' } });
    expect(JSON.stringify(ending)).toContain(
      'its outputs: wrote more than its 2 MiB of disk (3 MiB)',
    );
    expect(files.stored).toHaveLength(1);
  });

  it.each([
    ['lost', new ContainerLostError('c', 'was removed by somebody else'), 'internal', 'peer-lost'],
    [
      'that nobody can ask',
      new PortError('no answer', { retryable: true }),
      'internal',
      'internal',
    ],
  ])('whose container is %s fails, adopted or not', async (_, error, own, adopted) => {
    const runtime = (real: ContainerRuntime) =>
      changed(real, { wait: () => Promise.reject(error) });
    const failed = await newRun({ runtime }).start();
    expect(failed).toMatchObject({ failure: { kind: own, message: error.message } });
    const found = await newRun({ runtime, plan: { durationMs: 1e9 } }).adopt();
    expect(found).toMatchObject({
      failure: { kind: adopted, message: expect.stringContaining(error.message) },
    });
  });

  it('removes its container when cleaned up, and not before', async () => {
    const { start, run, host, clock } = newRun({});
    await start();
    expect(host.containers).toHaveLength(1);
    await settled(clock, run.cleanUp());
    expect(host.containers).toEqual([]);
  });
});
