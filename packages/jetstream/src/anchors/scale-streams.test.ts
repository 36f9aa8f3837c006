import type { StreamInfo } from '@nats-io/jetstream';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { MeshConnection } from '../mesh-connection.ts';
import { openMesh } from '../open-mesh.ts';
import { freshRun, published, started, task } from '../samples.test-kit.ts';
import { RUN_STREAM } from '../subjects.ts';
import { untilAnswered } from '../until-answered.ts';
import { streamNames } from '../wanted-streams.ts';
import { ClusterAdmin } from './cluster-admin.ts';
import { areScaled, scaleStreams } from './scale-streams.ts';
import { ServerGroup, type TestServer } from './server-group.test-kit.ts';
import { retireServer, untilLedByOthers, untilOnOthers } from './until-on-others.ts';

const MINUTES = 60_000;
const FACTS = 20;
let group: ServerGroup;
let servers: readonly TestServer[];
let mesh: MeshConnection;
let admin: ClusterAdmin;

beforeEach(async () => {
  group = await ServerGroup.create();
  servers = await group.cluster('one', 'two', 'three', 'four', 'five');
  mesh = await group.connect(...servers);
  admin = new ClusterAdmin(await group.connectSystem(...servers));
  await admin.untilMembers(servers.map(({ name }) => name));
  await mesh.ensureStreams({ replicas: 3 });
}, 2 * MINUTES);
afterEach(() => group.stop(), MINUTES);

const copiesOf = async (): Promise<readonly number[]> => {
  const infos: StreamInfo[] = [];
  for (const name of streamNames())
    infos.push(await untilAnswered(name, () => mesh.jsm.streams.info(name)));
  return [...new Set(infos.map(({ cluster }) => 1 + (cluster?.replicas ?? []).length))];
};

async function append(): Promise<void> {
  const run = freshRun();
  const { runLog } = openMesh(mesh);
  const put = (fact: Parameters<typeof runLog.append>[0]) =>
    untilAnswered('append', () => runLog.append(fact, 0));
  expect((await put(published(run))).ok).toBe(true);
  for (let number = 0; number < FACTS; number++)
    expect((await put(started(run, task(number), 'a'))).ok).toBe(true);
}

test(
  'five copies of everything, made while it is written, survive two losses; three are made of them again',
  async () => {
    const writing = append();
    expect(await areScaled(mesh, 5)).toBe(false);
    await scaleStreams(mesh, 5);
    await writing;
    expect(await copiesOf()).toEqual([5]);
    expect(await areScaled(mesh, 5)).toBe(true);
    await scaleStreams(mesh, 5);

    await servers[0]?.end('SIGKILL');
    await servers[1]?.end('SIGKILL');
    await append();
    const { state } = await mesh.jsm.streams.info(RUN_STREAM);
    expect(state.messages).toBe(2 * (FACTS + 1));

    await servers[0]?.start();
    await servers[1]?.start();
    await admin.untilMembers(['one', 'two']);
    await scaleStreams(mesh, 3);
    for (const name of ['four', 'five']) await retireServer(admin, mesh, name);
    await append();
    expect(await copiesOf()).toEqual([3]);
    expect((await mesh.jsm.streams.info(RUN_STREAM)).state.messages).toBe(3 * (FACTS + 1));
  },
  6 * MINUTES,
);

test(
  'nobody is taken out whose copies are the majority, however silent they are',
  async () => {
    const { cluster } = await mesh.jsm.streams.info(RUN_STREAM);
    const places = [cluster?.leader ?? '', ...(cluster?.replicas ?? []).map(({ name }) => name)];
    const wait = new AbortController();
    const waiting = untilLedByOthers(mesh, places.slice(0, 2), wait.signal);
    wait.abort();
    await expect(waiting).rejects.toThrow(
      `has no majority without ${places.slice(0, 2).join(', ')}`,
    );
    await untilLedByOthers(mesh, []);
  },
  2 * MINUTES,
);

test(
  'two of five that are gone are taken out, and the three that are left have all of it',
  async () => {
    await scaleStreams(mesh, 5);
    await append();
    const silent = ['one', 'two'];
    await servers[0]?.end('SIGKILL');
    await servers[1]?.end('SIGKILL');
    await untilLedByOthers(mesh, silent);
    for (const name of silent) {
      await admin.remove(name);
      await mesh.ensureLiveLog();
      await untilOnOthers(mesh, name, { silent, copies: 3 });
    }
    await scaleStreams(mesh, 3);
    expect(await copiesOf()).toEqual([3]);
    await servers[2]?.end('SIGKILL');
    await append();
    expect((await mesh.jsm.streams.info(RUN_STREAM)).state.messages).toBe(2 * (FACTS + 1));
  },
  6 * MINUTES,
);
