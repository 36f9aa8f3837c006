import { readFileSync } from 'node:fs';
import { FAILURE_KINDS } from '@podmesh/core';
import { expect, it } from 'vitest';
import { openMetrics } from './metrics.ts';
import { idleSources, observedRun } from './observe.test-kit.ts';

/** One line each: a name, perhaps labels, and a number (text format 0.0.4). */
const SAMPLE = /^([a-z_:][a-z0-9_:]*)(\{([a-z_]+="[^"\\\n]*",?)+\})? (-?[0-9.e+-]+|\+Inf|nan)$/i;

/** Values by `name{labels}`. */
function samplesOf(text: string): ReadonlyMap<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      expect(line).toMatch(SAMPLE);
      const at = line.lastIndexOf(' ');
      return [line.slice(0, at), Number(line.slice(at + 1))];
    }),
  );
}

const ownOf = (samples: ReadonlyMap<string, number>): readonly string[] =>
  [...samples.keys()].filter((name) => name.startsWith('podmesh_'));

it('counts attempts by outcome, and measures their stages', async () => {
  const metrics = await openMetrics(idleSources());
  const { stop } = await observedRun(
    [metrics],
    ({ labels: { task } }) => ({
      kind: 'runs',
      durationMs: 2_000,
      code: task.startsWith('bad') ? 3 : 0,
    }),
    { id: 'good', count: 5 },
    { id: 'bad', retries: 0 },
  );
  const samples = samplesOf(await metrics.registry.metrics());
  expect(samples.get('podmesh_attempts_total{outcome="success"}')).toBe(5);
  expect(samples.get('podmesh_attempts_total{outcome="exit"}')).toBe(1);
  expect(samples.get('podmesh_attempts_total{outcome="timeout"}')).toBe(0);
  expect(samples.get('podmesh_offers_total')).toBe(6);
  expect(samples.get('podmesh_claim_seconds_count')).toBe(6);
  expect(samples.get('podmesh_attempt_stage_seconds_count{stage="run"}')).toBe(6);
  expect(samples.get('podmesh_attempt_stage_seconds_sum{stage="run"}')).toBeGreaterThanOrEqual(12);
  expect(samples.get('podmesh_attempt_stage_seconds_count{stage="done"}')).toBe(6);
  await stop();
});

it('has a fixed number of series, whatever ran', async () => {
  const metrics = await openMetrics(idleSources());
  const before = ownOf(samplesOf(await metrics.registry.metrics()));
  const first = await observedRun([metrics], () => ({ kind: 'runs', durationMs: 10 }), {
    id: 'one',
    count: 40,
  });
  await first.stop();
  expect(ownOf(samplesOf(await metrics.registry.metrics()))).toEqual(before);
  expect(before.filter((name) => name.startsWith('podmesh_attempts_total'))).toHaveLength(
    FAILURE_KINDS.length + 1,
  );
});

it('tells what is there when it is asked', async () => {
  let confirmed = 1;
  const metrics = await openMetrics(
    idleSources({
      load: () => ({
        ...idleSources().load(),
        claims: 3,
        isClaiming: false,
        circuit: 'open',
        lanes: { waiting: 2, idle: 5 },
      }),
      queues: async () => ({ offers: 17, drives: 1 }),
      leases: () => ({ confirmed, unanswered: 4, lost: 1 }),
      moved: () => ({ received: { direct: 10, relayed: 20 }, served: { direct: 30, relayed: 40 } }),
      storeBytes: () => 123,
      freeDiskBytes: async () => 456,
      connection: () => ({ isConnected: false, reconnects: 6 }),
    }),
  );
  // What is counted elsewhere is taken as it is, and not added up with each question.
  await metrics.registry.metrics();
  confirmed = 2;
  const samples = samplesOf(await metrics.registry.metrics());
  expect(Object.fromEntries(samples)).toMatchObject({
    podmesh_attempts_running: 3,
    podmesh_claiming: 0,
    'podmesh_circuit{state="open"}': 1,
    'podmesh_circuit{state="closed"}': 0,
    'podmesh_lanes{state="waiting"}': 2,
    'podmesh_lanes{state="idle"}': 5,
    'podmesh_queue_messages{queue="offers"}': 17,
    'podmesh_lease_extensions_total{result="confirmed"}': 2,
    'podmesh_lease_extensions_total{result="unanswered"}': 4,
    podmesh_leases_lost_total: 1,
    'podmesh_artifact_bytes_total{direction="received",way="relayed"}': 20,
    'podmesh_artifact_bytes_total{direction="served",way="direct"}': 30,
    podmesh_store_bytes: 123,
    'podmesh_disk_free_bytes{place="home"}': 456,
    podmesh_nats_reconnects_total: 6,
    podmesh_nats_connected: 0,
    'podmesh_build_info{version="0.1.0"}': 1,
  });
  expect([...samples.keys()]).toEqual(
    expect.arrayContaining(['nodejs_eventloop_lag_p99_seconds', 'process_cpu_seconds_total']),
  );
});

it('a mesh that does not answer has no queue, rather than an empty one', async () => {
  const down = { queues: () => Promise.reject(new Error('the mesh does not answer')) };
  const metrics = await openMetrics(idleSources(down));
  const names = [...samplesOf(await metrics.registry.metrics()).keys()];
  expect(names.filter((name) => name.startsWith('podmesh_queue_messages'))).toEqual([]);
  expect(names).toContain('podmesh_nats_connected');
});

const deployed = (file: string): string =>
  readFileSync(new URL(`../../../../deploy/monitoring/${file}`, import.meta.url), 'utf8');

it('is what the table for operators says, name by name, with its labels', async () => {
  const metrics = await openMetrics(idleSources());
  const told = (await metrics.registry.getMetricsAsJSON())
    .filter(({ name }) => name.startsWith('podmesh_'))
    .map(({ name, type, values }) => {
      const labels = new Set(values.flatMap((value) => Object.keys(value.labels)));
      labels.delete('le');
      return `${name} ${type} ${[...labels].sort().join(' ')}`.trim();
    });
  const documented = [
    ...deployed('README.md').matchAll(/^\| `(podmesh_\w+)` \| (\w+) \|(.*?)\|/gm),
  ].map(([, name, type, labels = '']) =>
    `${name} ${type} ${[...labels.matchAll(/`(\w+)`/g)]
      .map(([, label]) => label)
      .sort()
      .join(' ')}`.trim(),
  );
  expect(told.sort()).toEqual(documented.sort());
});

it.each(['alerts.yaml', 'dashboard.json'])(
  '%s asks for nothing that is not there',
  async (file) => {
    const metrics = await openMetrics(idleSources());
    const known = new Set((await metrics.registry.getMetricsAsJSON()).map(({ name }) => name));
    const asked = deployed(file).match(/\b(podmesh|nodejs|process)_\w+/g) ?? [];
    expect(asked.length).toBeGreaterThan(5);
    for (const name of asked) expect(known).toContain(name.replace(/_(bucket|sum|count)$/, ''));
  },
);
