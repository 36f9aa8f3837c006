import type { ConsumerConfig } from '@nats-io/jetstream';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import type { MeshConnection } from './mesh-connection.ts';
import { MeshSilentError } from './mesh-errors.ts';
import { type ReadOptions, readStream } from './stream-reader.ts';
import { ALL_TASKS, RUN_STREAM } from './subjects.ts';
import { TestServer } from './test-server.test-kit.ts';

const NOBODY = 'pm.run.nobody.task.none';
let server: TestServer;
let mesh: MeshConnection;
let readers = 0;

beforeAll(async () => {
  server = await TestServer.start();
  mesh = await server.connect();
  await mesh.ensureStreams({ replicas: 1 });
});

afterAll(async () => {
  await mesh?.close();
  await server?.remove();
});

beforeEach(async () => {
  vi.restoreAllMocks();
  readers = 0;
  await mesh.jsm.streams.purge(RUN_STREAM);
});

/** The first readers are on a replica that lags: each has only what was there up to a message. */
function lagBehind(sequences: readonly number[]): void {
  const { consumers } = mesh.jsm;
  const add = consumers.add.bind(consumers);
  vi.spyOn(consumers, 'add').mockImplementation((stream, config) => {
    const until = sequences[readers];
    readers += 1;
    const { opt_start_seq: from = 1 } = config as ConsumerConfig;
    // What is behind its end is not there for it.
    const isEmpty = until !== undefined && from > until;
    return add(stream, isEmpty ? { ...config, filter_subject: NOBODY } : config);
  });
}

async function facts(count: number): Promise<number> {
  let last = 0;
  for (let number = 0; number < count; number += 1)
    last = (await mesh.js.publish(`pm.run.r1.task.t${number}`, `${number}`)).seq;
  return last;
}

async function read(more: Partial<ReadOptions> = {}): Promise<readonly string[]> {
  const options: ReadOptions = {
    ...{ stream: RUN_STREAM, filters: [ALL_TASKS], after: 0, until: 'end' },
    ...more,
  };
  const texts: string[] = [];
  for await (const batch of readStream(mesh, options))
    for (const { message } of batch) texts.push(message.string());
  return texts;
}

test('reads to the end that the leader knows, though its reader finds an earlier one', async () => {
  const last = await facts(3);
  lagBehind([0, 0]);
  expect(await read()).toEqual(['0', '1', '2']);
  expect(readers).toBe(3);
  vi.restoreAllMocks();
  expect(await read({ after: last })).toEqual([]);
});

test('is at the end where what was there is removed while it reads', async () => {
  const last = await facts(2);
  lagBehind([0]);
  const { streams } = mesh.jsm;
  const look = streams.getMessage.bind(streams);
  vi.spyOn(streams, 'getMessage').mockImplementationOnce(async (...asked) => {
    const found = await look(...asked);
    for (const sequence of [last - 1, last]) await streams.deleteMessage(RUN_STREAM, sequence);
    return found;
  });
  expect(await read()).toEqual([]);
  expect(readers).toBe(1);
});

test('asks again where nobody could say what the end is, and leaves no reader behind', async () => {
  await facts(2);
  const before = (await mesh.jsm.streams.info(RUN_STREAM)).state.consumer_count;
  const silence = vi.spyOn(mesh.jsm.streams, 'getMessage');
  silence.mockRejectedValueOnce(new MeshSilentError('find the end'));
  expect(await read()).toEqual(['0', '1']);
  expect(silence.mock.calls.length).toBeGreaterThan(1);
  const isGone = async () =>
    (await mesh.jsm.streams.info(RUN_STREAM)).state.consumer_count === before;
  await vi.waitUntil(isGone, { timeout: 120_000 });
});

test('gives up with a sentence when a replica never catches up', async () => {
  await facts(1);
  lagBehind(Array.from({ length: 1_000 }, () => 0));
  await expect(read({ patienceMs: 1 })).rejects.toThrow(MeshSilentError);
});
