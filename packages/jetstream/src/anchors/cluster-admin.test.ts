import type { StreamInfo } from '@nats-io/jetstream';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { MeshConnection } from '../mesh-connection.ts';
import { openMesh } from '../open-mesh.ts';
import { pause } from '../pause.ts';
import { freshRun, published, started, task } from '../samples.test-kit.ts';
import { RUN_STREAM } from '../subjects.ts';
import { ClusterAdmin } from './cluster-admin.ts';
import { isCurrent } from './copy-stream.ts';
import { ServerGroup, type TestServer } from './server-group.test-kit.ts';
import { retireServer } from './until-on-others.ts';

const MINUTES = 60_000;
const FACTS = 20;
let group: ServerGroup;
let servers: TestServer[];
let mesh: MeshConnection;
let admin: ClusterAdmin;

beforeEach(async () => {
  group = await ServerGroup.create();
  servers = [...(await group.cluster('one', 'two', 'three'))];
  mesh = await group.connect(...servers);
  admin = new ClusterAdmin(await group.connectSystem(...servers));
  await admin.untilMembers(['one', 'two', 'three']);
  await mesh.ensureStreams({ replicas: 3 });
}, MINUTES);
afterEach(() => group.stop(), MINUTES);

/** Facts that go on being appended while servers come and go; how many there are. */
async function append(run = freshRun()): Promise<void> {
  const { runLog } = openMesh(mesh);
  expect((await runLog.append(published(run), 0)).ok).toBe(true);
  for (let number = 0; number < FACTS; number++)
    expect((await runLog.append(started(run, task(number), 'a'), 0)).ok).toBe(true);
}

async function join(name: string): Promise<void> {
  const server = await group.add(name);
  servers.push(server);
  await group.configure(
    server,
    servers.map(({ route }) => route),
  );
  await server.start();
  await admin.untilMembers([name]);
}

const placesOf = ({ cluster }: StreamInfo): readonly string[] =>
  [cluster?.leader ?? '', ...(cluster?.replicas ?? []).map(({ name }) => name)].sort();

async function untilOn(...names: readonly string[]): Promise<void> {
  for (;;) {
    const info = await mesh.jsm.streams.info(RUN_STREAM).catch(() => undefined);
    if (info !== undefined && isCurrent(info) && `${placesOf(info)}` === `${[...names].sort()}`)
      return;
    await pause(50);
  }
}

test(
  'retires a healthy server while facts go on being written',
  async () => {
    await join('four');
    const writing = append();
    await retireServer(admin, mesh, 'one');
    await untilOn('two', 'three', 'four');
    await admin.remove('one');
    await servers[0]?.end('SIGTERM');
    await admin.remove('one');
    await writing;
    expect((await admin.survey()).map(({ server }) => server).sort()).toEqual([
      'four',
      'three',
      'two',
    ]);
    const { state } = await mesh.jsm.streams.info(RUN_STREAM);
    expect(state.messages).toBe(FACTS + 1);
  },
  3 * MINUTES,
);

test(
  'replaces a server that is gone for good',
  async () => {
    await append();
    await servers[1]?.end('SIGKILL');
    await append();
    await join('four');
    await admin.remove('two');
    await untilOn('one', 'three', 'four');
    await servers[2]?.end('SIGKILL');
    await append();
    const { state } = await mesh.jsm.streams.info(RUN_STREAM);
    expect(state.messages).toBe(3 * (FACTS + 1));
  },
  3 * MINUTES,
);
