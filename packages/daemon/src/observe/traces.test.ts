import pino from 'pino';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { silent } from '../daemon.test-kit.ts';
import { observedRun } from './observe.test-kit.ts';
import { OtlpReceiver, type ReceivedSpan } from './otlp-receiver.test-kit.ts';
import { traceId } from './trace-ids.ts';
import { openTraces, wantsTraces } from './traces.ts';

const ERROR = 2;
let receiver: OtlpReceiver;

beforeEach(async () => {
  receiver = new OtlpReceiver();
  vi.stubEnv('OTEL_EXPORTER_OTLP_ENDPOINT', await receiver.start());
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await receiver.stop();
});

const open = (logger = silent) =>
  openTraces({ peer: 'attic', version: '0.1.0', env: process.env, logger });

const named = (name: string): readonly ReceivedSpan[] =>
  receiver.spans.filter((span) => span.name === name);
const childrenOf = ({ spanId }: ReceivedSpan, name: string): readonly ReceivedSpan[] =>
  named(name).filter((span) => span.parentSpanId === spanId);
const only = (spans: readonly ReceivedSpan[]): ReceivedSpan => {
  expect(spans).toHaveLength(1);
  return spans[0] as ReceivedSpan;
};
const seconds = ({ startTimeUnixNano, endTimeUnixNano }: ReceivedSpan): number =>
  Number(BigInt(endTimeUnixNano) - BigInt(startTimeUnixNano)) / 1e9;
const attribute = ({ attributes }: Pick<ReceivedSpan, 'attributes'>, key: string): unknown =>
  Object.values(attributes.find((one) => one.key === key)?.value ?? {})[0];

it('a run is one trace, from its publication to the outcome of each attempt', async () => {
  const traces = await open();
  const { run, stop } = await observedRun(
    [traces],
    ({ labels: { task, attempt } }) => ({
      kind: 'runs',
      durationMs: 3_000,
      code: task === 'shy' && attempt === 1 ? 3 : 0,
    }),
    { id: 'good', count: 2 },
    { id: 'shy', retries: { exit: 1 } },
  );
  await stop();
  await traces.stop();
  expect(new Set(receiver.paths)).toEqual(new Set(['/v1/traces']));
  expect(new Set(receiver.spans.map((span) => span.traceId))).toEqual(new Set([traceId(run)]));
  const root = only(named('podmesh.run'));
  expect(root.parentSpanId ?? '').toBe('');
  expect(attribute(root, 'podmesh.state')).toBe('succeeded');
  expect(only(childrenOf(root, 'publish'))).toBeDefined();
  const offers = childrenOf(root, 'offer');
  expect(offers.map((span) => attribute(span, 'podmesh.task')).sort()).toEqual([
    'good:0',
    'good:1',
    'shy',
    'shy',
  ]);
  for (const offer of offers) {
    const attempt = only(childrenOf(offer, 'attempt'));
    const isBad =
      attribute(offer, 'podmesh.task') === 'shy' && attribute(offer, 'podmesh.attempt') === 1;
    expect(attribute(attempt, 'podmesh.outcome')).toBe(isBad ? 'exit' : 'success');
    expect(attempt.status.code === ERROR).toBe(isBad);
    const stages = ['start', 'fetch', 'run', 'store', 'done'];
    const found = stages.flatMap((name) => childrenOf(attempt, name));
    expect(found.map(({ name }) => name)).toEqual(stages);
    expect(seconds(only(childrenOf(attempt, 'run')))).toBeGreaterThanOrEqual(3);
    // The stages follow each other without a gap, inside of the attempt.
    const ends = found.map((span) => span.endTimeUnixNano);
    expect(found.slice(1).map((span) => span.startTimeUnixNano)).toEqual(ends.slice(0, -1));
    expect(found[0]?.startTimeUnixNano).toBe(attempt.startTimeUnixNano);
    expect(ends.at(-1)).toBe(attempt.endTimeUnixNano);
  }
});

it('says who tells, and takes what the standard variables add', async () => {
  vi.stubEnv('OTEL_RESOURCE_ATTRIBUTES', 'deployment.environment.name=lab');
  const traces = await open();
  const { stop } = await observedRun([traces], () => ({ kind: 'runs', durationMs: 1 }), {
    id: 'a',
  });
  await stop();
  await traces.stop();
  const [attributes = []] = receiver.resources;
  expect(attribute({ attributes }, 'service.name')).toBe('podmesh-peer');
  expect(attribute({ attributes }, 'service.instance.id')).toBe('attic');
  expect(attribute({ attributes }, 'service.version')).toBe('0.1.0');
  expect(attribute({ attributes }, 'deployment.environment.name')).toBe('lab');
});

it('a failure before the container ends the stage it happened in', async () => {
  const traces = await open();
  const { stop } = await observedRun(
    [traces],
    () => ({ kind: 'start-failed', problem: { kind: 'command', message: 'no such program' } }),
    { id: 'a', retries: 0 },
  );
  await stop();
  await traces.stop();
  const attempt = only(named('attempt'));
  expect(attribute(attempt, 'podmesh.outcome')).toBe('exit');
  expect(only(childrenOf(attempt, 'run')).status.code).toBe(ERROR);
  expect(childrenOf(attempt, 'store')).toEqual([]);
  expect(only(named('podmesh.run')).status.code).toBe(ERROR);
});

it('a collector that is gone neither stops the daemon nor fills the log', async () => {
  const said: string[] = [];
  await receiver.stop();
  const traces = await open(pino({ level: 'warn' }, { write: (line) => said.push(line) }));
  const { stop } = await observedRun([traces], () => ({ kind: 'runs', durationMs: 1 }), {
    id: 'a',
    count: 30,
  });
  await stop();
  await traces.stop();
  expect(said.length).toBeLessThanOrEqual(1);
});

it.each([
  [{}, false],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: '' }, false],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://localhost:4318' }, true],
  [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://localhost:4318/v1/traces' }, true],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://localhost:4318', OTEL_SDK_DISABLED: 'true' }, false],
])('with %j traces are wanted: %s', (env, wanted) => expect(wantsTraces(env)).toBe(wanted));
