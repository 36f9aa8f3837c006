import { createInbox, type Msg } from '@nats-io/transport-node';
import { peerId } from '@podmesh/core';
import { Ajv } from 'ajv';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { MeshConnection } from './mesh-connection.ts';
import { PeerDiscovery } from './peer-discovery.ts';
import { TestServer } from './test-server.test-kit.ts';

/** What the schemas that the nats tool checks replies with ask for (io.nats.micro.v1). */
const TEXT = { type: 'string', minLength: 1 };
const NAME = { ...TEXT, pattern: '^[a-zA-Z0-9_-]+$' };
const INT64 = { type: 'integer', maximum: 2 ** 63, minimum: -(2 ** 63) };
const ABOUT = {
  name: NAME,
  id: TEXT,
  version: { type: 'string', minLength: 5, pattern: '^\\d+\\.\\d+\\.\\d+(-[0-9A-Za-z.-]+)?$' },
  metadata: { type: 'object', additionalProperties: { type: 'string' } },
};
const PLACE = { name: NAME, subject: TEXT };
const NUMBERS = {
  num_requests: INT64,
  num_errors: INT64,
  last_error: { type: 'string' },
  processing_time: INT64,
  average_processing_time: INT64,
};
const object = (properties: object, required = Object.keys(properties)) => ({
  type: 'object',
  properties,
  required,
});
const reply = (kind: string, more: object) =>
  object({ type: { const: `io.nats.micro.v1.${kind}_response` }, ...ABOUT, ...more });
const SCHEMAS = {
  PING: reply('ping', {}),
  INFO: reply('info', {
    description: { type: 'string' },
    endpoints: { type: 'array', items: object(PLACE) },
  }),
  STATS: reply('stats', {
    started: { type: 'string', pattern: '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(\\.\\d+)?Z$' },
    endpoints: {
      type: 'array',
      minItems: 1,
      items: object({ ...PLACE, ...NUMBERS, data: { type: 'object' } }),
    },
  }),
} as const;

let server: TestServer;
let mesh: MeshConnection;
let asking: MeshConnection;
let services: PeerDiscovery[] = [];

beforeAll(async () => {
  server = await TestServer.start();
  mesh = await server.connect('peer');
  asking = await server.connect('nats tool');
});

afterEach(async () => {
  for (const service of services) await service.stop();
  services = [];
});

afterAll(async () => {
  await mesh?.close();
  await asking?.close();
  await server?.remove();
});

async function serve(name: string, status: () => object = () => ({})): Promise<PeerDiscovery> {
  const metadata = { arch: 'amd64', cpus: '8' };
  const service = new PeerDiscovery(mesh, peerId(name), { version: '0.1.0', metadata, status });
  services.push(service);
  await service.start();
  await mesh.nc.flush();
  return service;
}

/** All that answer until one has that is asked last, and can only answer after them. */
async function ask(subject: string): Promise<readonly Record<string, unknown>[]> {
  const inbox = createInbox();
  const answers: Record<string, unknown>[] = [];
  const end = 'the end';
  const subscription = asking.nc.subscribe(inbox);
  asking.nc.publish(subject, '', { reply: inbox });
  // What the peer's connection was given before this comes back before it.
  await asking.nc.flush();
  await mesh.nc.flush();
  await new Promise((resolve) => setImmediate(resolve));
  await mesh.nc.flush();
  asking.nc.publish(inbox, end);
  for await (const message of subscription as AsyncIterable<Msg>) {
    if (message.string() === end) break;
    // Empty: the server's word that nobody listens.
    if (message.data.length > 0) answers.push(message.json());
  }
  return answers;
}

test.each(['PING', 'INFO', 'STATS'] as const)(
  '%s is answered by every peer as the schema asks',
  async (verb) => {
    await serve('laptop');
    await serve('desktop');
    const answers = await ask(`$SRV.${verb}`);
    expect(answers.map(({ id }) => id).sort()).toEqual(['desktop', 'laptop']);
    const validate = new Ajv({ allErrors: true, strict: false }).compile(SCHEMAS[verb]);
    for (const answer of answers)
      expect(validate(answer), JSON.stringify(validate.errors)).toBe(true);
    expect(answers.every(({ name }) => name === 'podmesh-peer')).toBe(true);
  },
);

test('only who is meant answers', async () => {
  await serve('laptop');
  await serve('desktop');
  expect(await ask('$SRV.PING.podmesh-peer')).toHaveLength(2);
  expect((await ask('$SRV.PING.podmesh-peer.laptop')).map(({ id }) => id)).toEqual(['laptop']);
  expect(await ask('$SRV.PING.podmesh-peer.nobody')).toEqual([]);
  expect(await ask('$SRV.PING.other-service')).toEqual([]);
  expect(await ask('$SRV.WHATEVER')).toEqual([]);
});

test('its endpoint tells how it does, and the statistics count who asked', async () => {
  await serve('laptop', () => ({ claims: 3 }));
  const [info] = await ask('$SRV.INFO.podmesh-peer.laptop');
  const endpoints = info?.endpoints as { subject: string }[];
  const { subject } = endpoints[0] ?? { subject: '' };
  expect((await asking.nc.request(subject, '', { timeout: 5_000 })).json()).toEqual({ claims: 3 });
  const [stats] = await ask('$SRV.STATS.podmesh-peer.laptop');
  expect(stats?.endpoints).toMatchObject([
    { num_requests: 1, num_errors: 0, last_error: '', data: { claims: 3 } },
  ]);
});

test('nobody can make it write into a stream', async () => {
  await serve('laptop');
  const seen: string[] = [];
  const victim = asking.nc.subscribe('pm.>', {
    callback: (_, { subject }) => void seen.push(subject),
  });
  asking.nc.publish('$SRV.PING', '', { reply: 'pm.run.r.graph' });
  asking.nc.publish('pm.status.laptop', '', { reply: 'pm.offer.lane.run.task' });
  expect(await ask('$SRV.PING.podmesh-peer.laptop')).toHaveLength(1);
  victim.unsubscribe();
  expect(seen).toEqual(['pm.status.laptop']);
});

test('answers no more once stopped, and stops twice', async () => {
  const service = await serve('laptop');
  expect(await ask('$SRV.PING')).toHaveLength(1);
  await service.stop();
  await service.stop();
  expect(await ask('$SRV.PING')).toEqual([]);
});

test('a status that cannot be told is an answer, counted, and ends nothing', async () => {
  await serve('laptop', () => {
    throw new Error('no disk');
  });
  const answer = await asking.nc.request('pm.status.laptop', '', { timeout: 5_000 });
  expect(answer.json()).toEqual({ error: 'no disk' });
  const [stats] = await ask('$SRV.STATS');
  expect(stats?.endpoints).toMatchObject([
    { num_requests: 1, num_errors: 1, last_error: 'no disk', data: { error: 'no disk' } },
  ]);
  expect(await ask('$SRV.PING')).toHaveLength(1);
});
