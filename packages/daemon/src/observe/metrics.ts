import { FAILURE_KINDS } from '@podmesh/core';
import type { Gauge as GaugeOf, Registry } from 'prom-client';
import type { MetricSources } from './metric-sources.ts';
import { type Observer, STAGES } from './observer.ts';

/** Bounds of the histograms, in seconds: from the fast lane's milliseconds to a day. */
const CLAIM_BOUNDS = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60];
const STAGE_BOUNDS = [0.005, 0.025, 0.1, 0.5, 1, 5, 15, 60, 300, 1_800, 7_200, 86_400];
const CIRCUITS = ['closed', 'untested', 'open', 'half-open'] as const;

export interface Metrics extends Observer {
  readonly registry: Registry;
}

/**
 * What an operator may want to know of this peer, in Prometheus' words. Every label has a fixed set of values: no run,
 * task, lane or peer is one. What counts is read when it is asked for; only what cannot be read later is noted.
 */
export async function openMetrics(sources: MetricSources): Promise<Metrics> {
  // Loaded here and nowhere else: a daemon without a port for it pays nothing.
  const { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } = await import(
    'prom-client'
  );
  const registry = new Registry();
  const registers = [registry];
  // Memory, processor time, open files and the lag of the event loop, by their usual names.
  collectDefaultMetrics({ register: registry });

  const attempts = new Counter({
    name: 'podmesh_attempts_total',
    help: 'Attempts of this peer that ended, by outcome: success or a failure kind',
    labelNames: ['outcome'],
    registers,
  });
  for (const outcome of ['success', ...FAILURE_KINDS]) attempts.inc({ outcome }, 0);
  const unpublished = new Counter({
    name: 'podmesh_attempts_unpublished_total',
    help: 'Attempts that ended here after they had been lost: their outcome was refused',
    registers,
  });
  const claiming = new Histogram({
    name: 'podmesh_claim_seconds',
    help: 'From an offer in hand to the fact that its attempt has begun',
    buckets: CLAIM_BOUNDS,
    registers,
  });
  const stages = new Histogram({
    name: 'podmesh_attempt_stage_seconds',
    help: 'What attempts spent their time with, by stage',
    labelNames: ['stage'],
    buckets: STAGE_BOUNDS,
    registers,
  });
  for (const stage of STAGES) if (stage !== 'start') stages.zero({ stage });
  const offered = new Counter({
    name: 'podmesh_offers_total',
    help: 'Offers that this peer, as a driver, put into the queue',
    registers,
  });

  const gauge = (name: string, help: string, read: () => number): void => {
    const made: GaugeOf = new Gauge({ name, help, registers, collect: () => made.set(read()) });
  };
  const gauges = (
    name: string,
    help: string,
    label: string,
    read: () => Values | Promise<Values>,
  ) => {
    const made = new Gauge({
      name,
      help,
      labelNames: [label],
      registers,
      async collect() {
        made.reset();
        for (const [value, amount] of Object.entries(await read()))
          made.set({ [label]: value }, amount);
      },
    });
  };
  /** Of sums that others keep: they only grow, but for a start of the daemon. */
  const sums = (
    name: string,
    help: string,
    labels: readonly string[],
    read: () => readonly Sum[],
  ) => {
    const made = new Counter({
      name,
      help,
      labelNames: [...labels],
      registers,
      collect() {
        made.reset();
        for (const { of, sum } of read()) made.inc({ ...of }, sum);
      },
    });
  };

  const { load } = sources;
  gauge('podmesh_attempts_running', 'Attempts in hand', () => load().claims);
  gauge('podmesh_containers_running', 'Containers of tasks that run', () => load().containers);
  gauge('podmesh_runs_driven', 'Runs that this peer drives', () => load().driving);
  gauge('podmesh_claiming', '1 while this peer claims tasks, 0 while it is paused', () =>
    load().isClaiming ? 1 : 0,
  );
  gauges('podmesh_lanes', 'Lanes that this machine suits, by what it asks of them', 'state', () => {
    const { waiting, idle } = load().lanes;
    return { waiting, idle };
  });
  gauges('podmesh_circuit', '1 for the state the circuit is in', 'state', () =>
    Object.fromEntries(CIRCUITS.map((kind) => [kind, load().circuit === kind ? 1 : 0])),
  );
  gauges('podmesh_capacity', 'What this peer offers', 'resource', () => amounts(load().capacity));
  gauges('podmesh_free', 'What of it is free', 'resource', () => amounts(load().free));
  gauges('podmesh_queue_messages', 'Messages in the work queues of the mesh', 'queue', async () => {
    // A mesh that does not answer has no series: an alert can tell that from an empty queue.
    return await sources.queues().then(
      ({ offers, drives }) => ({ offers, drives }),
      () => ({}),
    );
  });
  gauge('podmesh_store_bytes', 'Bytes in the artifact store', () => sources.storeBytes());
  gauges('podmesh_disk_free_bytes', 'Free bytes where PODMESH_HOME is', 'place', async () => {
    return await sources.freeDiskBytes().then(
      (home) => ({ home }),
      () => ({}),
    );
  });
  sums(
    'podmesh_artifact_bytes_total',
    'Bytes of artifacts moved between peers',
    ['direction', 'way'],
    () => {
      const { received, served } = sources.moved();
      return [
        { of: { direction: 'received', way: 'direct' }, sum: received.direct },
        { of: { direction: 'received', way: 'relayed' }, sum: received.relayed },
        { of: { direction: 'served', way: 'direct' }, sum: served.direct },
        { of: { direction: 'served', way: 'relayed' }, sum: served.relayed },
      ];
    },
  );
  sums('podmesh_lease_extensions_total', 'Extensions of claims, by result', ['result'], () => {
    const { confirmed, unanswered } = sources.leases();
    return [
      { of: { result: 'confirmed' }, sum: confirmed },
      { of: { result: 'unanswered' }, sum: unanswered },
    ];
  });
  sums(
    'podmesh_leases_lost_total',
    'Claims that were given up because nobody confirmed them',
    [],
    () => [{ of: {}, sum: sources.leases().lost }],
  );
  sums('podmesh_nats_reconnects_total', 'Times the connection to the mesh came back', [], () => [
    { of: {}, sum: sources.connection().reconnects },
  ]);
  gauge('podmesh_nats_connected', '1 while there is a connection to the mesh', () =>
    sources.connection().isConnected ? 1 : 0,
  );
  gauges('podmesh_build_info', '1, with the version of this peer', 'version', () => ({
    [sources.version]: 1,
  }));

  return {
    registry,
    stage: (_attempt, stage, { fromMs, toMs }, _isFailed) => {
      const seconds = (toMs - fromMs) / 1_000;
      if (stage === 'start') claiming.observe(seconds);
      else stages.observe({ stage }, seconds);
    },
    attemptEnded: ({ ending, isPublished }) => {
      if (!isPublished) return unpublished.inc();
      attempts.inc({ outcome: ending.kind === 'failed' ? ending.failure.kind : 'success' });
    },
    offered: (offers) => offered.inc(offers.length),
  };
}

type Values = Readonly<Record<string, number>>;

interface Sum {
  readonly of: Readonly<Record<string, string>>;
  readonly sum: number;
}

const amounts = (of: {
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly diskBytes: number;
  readonly gpus: number;
}): Values => ({
  cpus: of.cpus,
  memory_bytes: of.memoryBytes,
  disk_bytes: of.diskBytes,
  gpus: of.gpus,
});
