import { PortError, type RunId, type RunPublished, taskId } from '@podmesh/core';
import {
  freshLane,
  freshRun,
  inPieces,
  SMALL,
  sampleArtifact,
  sampleEnded,
  sampleFailed,
  sampleOffer,
  samplePublished,
  sampleResult,
  sampleStarted,
  sampleSucceeded,
} from '@podmesh/testkit';
import { describe, expect, it } from 'vitest';
import {
  eventsOf,
  graphOf,
  newBench,
  peerParts,
  publishGraph,
  settled,
} from '../daemon.test-kit.ts';
import { LostFromStore } from '../store/lost-outputs.ts';
import { Driver, type DriverParts } from './driver.ts';
import { ImageFinder } from './image-finder.ts';

function newCase(changes: Partial<DriverParts> = {}) {
  const bench = newBench();
  const parts: DriverParts = {
    ...peerParts(bench, 'p'),
    images: new ImageFinder({ ...peerParts(bench, 'p'), arch: () => 'amd64' }),
    platform: () => 'linux/amd64',
    lost: new LostFromStore(bench.ports.artifacts),
    ...changes,
  };
  const stop = new AbortController();
  const drive = (run: RunPublished['run']) => new Driver(parts, run).drive(stop.signal);
  return { ...bench, parts, stop, drive };
}

describe('a driver', () => {
  it('ends a run whose graph is nowhere, and says so', async () => {
    const { drive, mesh, clock } = newCase();
    const run = freshRun();
    const { digest: artifact } = sampleArtifact(Buffer.from('a graph')).ref;
    mesh.log.append({ ...samplePublished(run, 5), graph: { kind: 'artifact', artifact } }, 0);
    expect(await settled(clock, drive(run))).toBe('ended');
    const end = eventsOf(mesh, run).at(-1);
    expect(end).toMatchObject({ kind: 'run-ended', state: 'failed', counts: { failed: 5 } });
    expect(end).toHaveProperty('problem', expect.stringContaining(artifact));
    if (end?.kind === 'run-ended') expect(mesh.artifacts.has(end.record)).toBe(true);
  });

  it('leaves a run to others when its graph cannot be had at the moment', async () => {
    const away = new PortError('the server is away', { retryable: true });
    const { drive, mesh, clock } = newCase({ loadGraph: () => Promise.reject(away) });
    const run = freshRun();
    mesh.log.append(samplePublished(run), 0);
    await expect(settled(clock, drive(run))).rejects.toThrow('away');
    expect(eventsOf(mesh, run)).toHaveLength(1);
  });

  it('believes another one that could not read the graph', async () => {
    const { drive, mesh, clock } = newCase();
    const run = publishGraph(mesh, graphOf({ id: 'a' }));
    const driving = drive(run);
    await clock.advance(1_000);
    mesh.log.append({ ...sampleEnded(run, 0), state: 'failed', problem: 'unreadable' }, 0);
    expect(await settled(clock, driving)).toBe('ended');
    expect(mesh.offers.all()).toEqual([]);
  });

  it('knows a run without a log', async () => {
    const { drive, clock } = newCase();
    expect(await settled(clock, drive(freshRun()))).toBe('no-such-run');
  });

  it('takes late offers away from a run that has ended', async () => {
    const { drive, mesh, clock, parts } = newCase();
    const run = publishGraph(mesh, graphOf({ id: 'a' }));
    const started = sampleStarted(run, taskId('a'));
    mesh.log.append(started, 0);
    mesh.log.append(sampleSucceeded(started), 2);
    mesh.log.append(sampleEnded(run), 0);
    const lane = freshLane();
    mesh.lanes.open(lane, SMALL);
    await parts.offers.publish([{ ...sampleOffer(run, lane), task: taskId('a') }]);
    expect(await settled(clock, drive(run))).toBe('ended');
    expect(mesh.offers.all()).toEqual([]);
  });

  it('offers what is ready once, although others drove before it', async () => {
    const { drive, mesh, clock, stop } = newCase();
    const run = publishGraph(mesh, graphOf({ id: 'a', count: 3 }, { id: 'b', after: ['a'] }));
    const drives = [drive(run)];
    await clock.advance(1_000);
    drives.push(drive(run));
    await clock.advance(1_000);
    expect(mesh.offers.all().map(({ value }) => value.task)).toEqual(['a:0', 'a:1', 'a:2']);
    stop.abort();
    expect(await settled(clock, Promise.all(drives))).toEqual(['stopped', 'stopped']);
  });

  it('offers again what the queue has lost', async () => {
    const { drive, mesh, clock, stop } = newCase();
    const run = publishGraph(mesh, graphOf({ id: 'a', count: 3 }));
    const driving = drive(run);
    await clock.advance(1_000);
    expect(mesh.loseOffers()).toBe(3);
    await clock.advance(21_000);
    expect(mesh.offers.all()).toHaveLength(3);
    stop.abort();
    await settled(clock, driving);
  });

  it('goes on after a step that failed', async () => {
    const real = newCase();
    let failures = 2;
    const { offers } = real.parts;
    const flaky: DriverParts['offers'] = {
      publish: async (list) => {
        failures -= 1;
        if (failures >= 0) throw new Error('no responders');
        await offers.publish(list);
      },
      pull: offers.pull.bind(offers),
      waiting: offers.waiting.bind(offers),
      discard: offers.discard.bind(offers),
      settle: offers.settle.bind(offers),
    };
    const run = publishGraph(real.mesh, graphOf({ id: 'a' }));
    const driving = new Driver({ ...real.parts, offers: flaky }, run).drive(real.stop.signal);
    await real.clock.advance(5_000);
    expect(real.mesh.offers.all()).toHaveLength(1);
    real.stop.abort();
    await settled(real.clock, driving);
  });

  it('offers what is ready while a list cannot be read, reads few at once, and each once', async () => {
    const list = sampleArtifact(Buffer.from('one\ntwo\n'));
    const { parts, mesh, clock, stop } = newCase();
    let reads = 0;
    let give = (): void => undefined;
    const given = new Promise<void>((resolve) => {
      give = resolve;
    });
    const { artifacts } = parts;
    const slow: DriverParts['artifacts'] = {
      stat: artifacts.stat.bind(artifacts),
      put: artifacts.put.bind(artifacts),
      async *get() {
        reads += 1;
        await given;
        yield list.bytes;
      },
    };
    const over = { forEach: 'jobs:a/out', cache: false };
    const tags = Array.from({ length: 10 }, (_, at) => ({ id: `tag${at}`, ...over }));
    const a = { id: 'a', outputs: { out: 'file:/out' } };
    const run = publishGraph(mesh, graphOf(a, ...tags, { id: 'b', count: 2 }, { id: 'c' }));
    const started = sampleStarted(run, taskId('a'));
    mesh.log.append(started, 0);
    const result = { ...sampleResult(), outputs: { out: list.ref } };
    mesh.log.append({ ...sampleSucceeded(started), result }, 2);
    const driving = new Driver({ ...parts, artifacts: slow }, run).drive(stop.signal);
    await clock.advance(1_000);
    const offered = () => mesh.offers.all().map(({ value }) => value.task);
    expect(offered()).toEqual(['b:0', 'b:1', 'c']);
    mesh.log.append(sampleStarted(run, taskId('b:0')), 0);
    await clock.advance(1_000);
    expect(reads).toBe(4);
    give();
    await clock.advance(5_000);
    expect(reads).toBe(10);
    expect(offered()).toContain('tag9:1');
    stop.abort();
    await settled(clock, driving);
  });

  describe('of a run whose bytes are lost', () => {
    /** `a` has succeeded, and `b` could not get its output; how the log went on. */
    async function afterLoss(isLost: boolean, told?: (facts: LossCase) => void, drivers = 1) {
      const { parts, mesh, clock, stop, ports } = newCase();
      const out = sampleArtifact(Buffer.from('what a left'));
      const a = { id: 'a', outputs: { out: 'file:/out' }, cache: false };
      const run = publishGraph(mesh, graphOf(a, { id: 'b', inputs: { in0: 'jobs:a/out' } }));
      const started = [sampleStarted(run, taskId('a')), sampleStarted(run, taskId('b'))] as const;
      mesh.log.append(started[0], 0);
      const result = { ...sampleResult(), outputs: { out: out.ref } };
      mesh.log.append({ ...sampleSucceeded(started[0]), result }, 2);
      mesh.log.append(started[1], 0);
      const missing = [out.ref.digest];
      const failure = { kind: 'input-missing', message: 'gone', missing } as const;
      mesh.log.append({ ...sampleFailed(started[1]), failure }, 4);
      if (!isLost) await ports.artifacts.put(out.ref, inPieces(out.bytes));
      told?.({ parts, mesh, run });
      const driving = Array.from({ length: drivers }, () =>
        new Driver(parts, run).drive(stop.signal),
      );
      await clock.advance(5_000);
      stop.abort();
      await settled(clock, Promise.all(driving));
      const offers = mesh.offers.all().map(({ value }) => value);
      return { events: eventsOf(mesh, run).slice(5), offers };
    }
    type LossCase = Pick<ReturnType<typeof newCase>, 'parts' | 'mesh'> & { readonly run: RunId };

    it('has them made again', async () => {
      const { events, offers } = await afterLoss(true);
      expect(events).toMatchObject([{ kind: 'outputs-lost', task: 'a', rerun: 1 }]);
      expect(offers).toMatchObject([{ task: 'a', attempt: 2, sequence: 3 }]);
    });

    it('has them made again once, however many drivers find it out', async () => {
      const { events, offers } = await afterLoss(true, undefined, 3);
      expect(events).toMatchObject([{ kind: 'outputs-lost', task: 'a', rerun: 1 }]);
      expect(new Set(offers.map(({ task, sequence }) => `${task} ${sequence}`))).toEqual(
        new Set(['a 3']),
      );
    });

    it('offers the task again when they are there', async () => {
      const { events, offers } = await afterLoss(false);
      expect(events).toEqual([]);
      expect(offers).toMatchObject([{ task: 'b', attempt: 2, sequence: 5 }]);
    });

    it('loses nothing while it cannot be known', async () => {
      let asked = 0;
      const { events, offers } = await afterLoss(true, ({ parts }) => {
        Object.assign(parts, {
          lost: {
            missing: () => {
              asked += 1;
              return Promise.reject(new Error('no responders'));
            },
          },
        });
      });
      expect([events, offers]).toEqual([[], []]);
      expect(asked).toBeGreaterThan(1);
    });

    it('leaves it at what another driver told first', async () => {
      const { events } = await afterLoss(true, ({ parts, mesh, run }) => {
        const real = parts.lost;
        const lost: DriverParts['lost'] = {
          missing: async (artifacts) => {
            const end = { ...sampleEnded(run), state: 'cancelled' as const, problem: 'other' };
            mesh.log.append(end, 0);
            return real.missing(artifacts);
          },
        };
        Object.assign(parts, { lost });
      });
      expect(events).toMatchObject([{ kind: 'run-ended' }]);
    });
  });

  it('knows when only a person can move the run on, and drives it on when one has', async () => {
    const { parts, mesh, clock, stop } = newCase();
    const run = publishGraph(mesh, graphOf({ id: 'a', retries: { 'peer-lost': 0 } }));
    const driver = new Driver(parts, run);
    expect(driver.outlook).toBe('unknown');
    const driving = driver.drive(stop.signal);
    const started = sampleStarted(run, taskId('a'));
    mesh.log.append(started, 0);
    await clock.advance(1_000);
    expect(driver.outlook).toBe('goes-on');
    mesh.log.append({ ...started, kind: 'attempt-lost', reason: 'it vanished' }, 2);
    await clock.advance(1_000);
    expect([driver.outlook, mesh.offers.all()]).toEqual(['waits-for-person', []]);
    mesh.log.append({ kind: 'task-released', run, task: taskId('a'), by: 'me' }, 3);
    await clock.advance(5_000);
    expect(driver.outlook).toBe('goes-on');
    expect(mesh.offers.all()).toMatchObject([{ value: { attempt: 2, sequence: 4 } }]);
    stop.abort();
    await settled(clock, driving);
  });
});
