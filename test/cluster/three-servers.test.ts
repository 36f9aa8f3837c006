import { runId, taskId } from '@podmesh/core';
import { Peer, systemClock } from '@podmesh/daemon';
import {
  connectMesh,
  greetServer,
  type Mesh,
  type MeshConnection,
  MeshStandsStillError,
  openMesh,
} from '@podmesh/jetstream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { graphOf, idlePeerParts } from '../bench/bench-mesh.ts';
import { Ending } from '../process-kit/ending.ts';
import { NatsCluster, untilHealthy } from '../process-kit/nats-cluster.ts';
import { PublishedRun } from '../process-kit/published-run.ts';
import { untilDone, untilSeen, within } from '../process-kit/within.ts';

const MINUTES = 60_000;
const CONNECT_MS = 240_000;
/** The server that is left still remembers a leader for some seconds. */
const SILENCE_MS = 15_000;
/** The stream of the run log, whose leader takes every fact. */
const RUN_STREAM = 'PM_RUN';
/** The stream of live output, which is best effort and yet of all servers. */
const LOG_STREAM = 'PM_LOG';
const SPEAK_MS = 200;
const STEPS = 20;
const WIDTH = 30;
const CORES = 16;

/** Each step waits for the one before, so that somebody has to decide all the time. */
const steps = graphOf(
  Array.from({ length: STEPS }, (_, step) => ({
    id: `step-${step}`,
    count: WIDTH,
    after: step === 0 ? [] : [`step-${step - 1}`],
    cache: false,
    needs: { memory: 0 },
  })),
);

/** From servers that may just have to elect who leads them. */
const answer = <T>(ask: () => Promise<T>): Promise<T> =>
  untilDone(4 * MINUTES, () => 'an answer of the servers', ask);

/** The answer to the first order may have been lost. */
function unlessGone(error: unknown): void {
  if (!/stream not found/.test(String(error))) throw error;
}

describe('a mesh of three servers', () => {
  const ending = new Ending();
  let cluster: NatsCluster;
  let mesh: Mesh;

  beforeAll(async () => {
    cluster = await NatsCluster.start();
    ending.defer(() => cluster.stop());
    mesh = await connect(cluster, ending, 'acceptance');
    for (const name of ['ann', 'bob', 'cid']) await addIdlePeer(cluster, ending, name);
  }, 8 * MINUTES);

  afterAll(() => ending.end(), 8 * MINUTES);

  it(
    'lets a client in, and passes on live output, while the server that had it is away',
    async () => {
      const leader = await cluster.leaderOf(LOG_STREAM);
      await leader.kill();
      const late = await connect(cluster, ending, 'late');
      const run = runId('liveoutput12');
      const task = taskId('speaks');
      const over = new AbortController();
      const follow = async (): Promise<string> => {
        for await (const { bytes } of late.liveLog.follow(run, task, over.signal))
          return Buffer.from(bytes).toString('utf8');
        return 'nothing';
      };
      const heard = follow();
      const chunk = { run, task, attempt: 1, bytes: Buffer.from('is heard') };
      let isHeard = false;
      const speak = async (): Promise<void> => {
        // Best effort: what is said before a new leader is elected is lost.
        while (!isHeard) {
          mesh.liveLog.write(chunk);
          await systemClock.sleep(SPEAK_MS);
        }
      };
      const speaking = speak();
      expect(
        await within(4 * MINUTES, () => 'live output', heard).finally(() => {
          isHeard = true;
          over.abort();
        }),
      ).toBe('is heard');
      await speaking;
      await leader.start();
      await untilHealthy(leader);
    },
    8 * MINUTES,
  );

  it(
    'has its live output on all servers again, after that was on one alone',
    async () => {
      const connection = await connectMesh({
        url: cluster.url,
        name: 'old',
        timeoutMs: CONNECT_MS,
      });
      ending.defer(() => connection.close());
      const { streams } = connection.jsm;
      await answer(() => streams.delete(LOG_STREAM).catch(unlessGone));
      const alone = { name: LOG_STREAM, subjects: ['pm.log.>'], num_replicas: 1 };
      const old = { ...alone, max_age: 1e12, discard: 'old', no_ack: true } as const;
      await answer(() => streams.add(old));
      await connection.ensureStreams({ replicas: 3 });
      const { config } = await answer(() => streams.info(LOG_STREAM));
      expect(config).toMatchObject({ num_replicas: 3, storage: 'memory' });
    },
    8 * MINUTES,
  );

  it(
    'finishes a run although the server that leads its log is killed in the middle and comes back',
    async () => {
      const run = await PublishedRun.publish(mesh, steps);
      ending.defer(() => run.stop());
      const finished = () => run.of('attempt-succeeded').length;
      const before = await run.until('attempt-succeeded', () => finished() >= 100);
      const leader = await cluster.leaderOf(RUN_STREAM);
      await leader.kill();
      const atTheKill = run.facts.length;
      // A fact from after the kill: the two that are left have agreed on a new leader.
      const next = await run.until('attempt-started', () => run.facts.length > atTheKill + WIDTH);
      await leader.start();
      await untilHealthy(leader);

      expect((await run.untilEnd()).state, run.told()).toBe('succeeded');
      const gapMs = longestGapMs(run);
      console.log(`killed ${leader.place?.name} after ${before.sequence}; silent for ${gapMs} ms`);
      expect(next.sequence).toBeGreaterThan(before.sequence);
      expect(finished()).toBe(STEPS * WIDTH);
      expect(run.violations()).toEqual([]);
    },
    10 * MINUTES,
  );

  it(
    'waits while two of them are gone, says so, and goes on when one is back',
    async () => {
      const run = await PublishedRun.publish(mesh, steps);
      ending.defer(() => run.stop());
      const finished = () => run.of('attempt-succeeded').length;
      await run.until('attempt-succeeded', () => finished() >= 100);
      const [one, two, three] = cluster.servers;
      if (one === undefined || two === undefined || three === undefined)
        throw new Error('three servers were started');
      await Promise.all([one.kill(), two.kill()]);
      // Until a leader knows that it leads nobody, it still answers.
      const isRefused = async (): Promise<boolean> => {
        const address = { url: three.url, name: 'newcomer', timeoutMs: SILENCE_MS };
        const told = await connectMesh(address).catch((error: unknown) => error);
        if (told instanceof Error) expect(told).toBeInstanceOf(MeshStandsStillError);
        else await (told as MeshConnection).close();
        return told instanceof Error;
      };
      await untilSeen(4 * MINUTES, () => 'a newcomer to be told of the standstill', isRefused);
      expect((await greetServer(`127.0.0.1:${three.port}`))?.cluster).toBeDefined();
      expect(run.of('run-ended')).toEqual([]);
      expect(finished()).toBeLessThan(STEPS * WIDTH);
      await one.start();

      expect((await run.untilEnd()).state, run.told()).toBe('succeeded');
      expect(finished()).toBe(STEPS * WIDTH);
      expect(run.violations()).toEqual([]);
      await two.start();
      await untilHealthy(two);
    },
    10 * MINUTES,
  );
});

async function connect(cluster: NatsCluster, ending: Ending, name: string): Promise<Mesh> {
  const connection = await connectMesh({ url: cluster.url, name, timeoutMs: CONNECT_MS });
  ending.defer(() => connection.close());
  await connection.ensureStreams({ replicas: 3 });
  const mesh = openMesh(connection);
  ending.defer(() => mesh.stop());
  return mesh;
}

/** The daemon's own peer in this process; its containers do nothing. */
async function addIdlePeer(cluster: NatsCluster, ending: Ending, name: string): Promise<void> {
  const parts = idlePeerParts(await connect(cluster, ending, name), name, CORES);
  const big = 2 ** 50;
  const peer = new Peer(parts, { cpus: CORES, memoryBytes: big, diskBytes: big, gpus: 0 });
  ending.defer(() => peer.stop());
  await peer.start();
}

/** Between two facts, by the server's stamps. */
function longestGapMs({ facts }: PublishedRun): number {
  const stamps = facts.map(({ at }) => Date.parse(at));
  return Math.max(...stamps.map((at, number) => at - (stamps[number - 1] ?? at)));
}
