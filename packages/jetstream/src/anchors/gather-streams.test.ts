import { afterEach, beforeEach, expect, test } from 'vitest';
import type { MeshConnection } from '../mesh-connection.ts';
import { openMesh } from '../open-mesh.ts';
import { freshRun, published, started, task } from '../samples.test-kit.ts';
import { LOG_STREAM, RUN_STREAM } from '../subjects.ts';
import { untilAnswered } from '../until-answered.ts';
import { streamNames } from '../wanted-streams.ts';
import { ClusterAdmin } from './cluster-admin.ts';
import { gatherStreams } from './gather-streams.ts';
import { areScaled, scaleStreams } from './scale-streams.ts';
import { ServerGroup, type TestServer } from './server-group.test-kit.ts';

const MINUTES = 60_000;
const FACTS = 20;
let group: ServerGroup;
let servers: readonly TestServer[];
let mesh: MeshConnection;

beforeEach(async () => {
  group = await ServerGroup.create();
  servers = await group.cluster('one', 'two', 'three');
  mesh = await group.connect(...servers);
  const admin = new ClusterAdmin(await group.connectSystem(...servers));
  await admin.untilMembers(servers.map(({ name }) => name));
  await mesh.ensureStreams({ replicas: 3 });
}, 2 * MINUTES);
afterEach(() => group.stop(), MINUTES);

async function append(): Promise<void> {
  const run = freshRun();
  const { runLog } = openMesh(mesh);
  const put = (fact: Parameters<typeof runLog.append>[0]) =>
    untilAnswered('append', () => runLog.append(fact, 0));
  expect((await put(published(run))).ok).toBe(true);
  for (let number = 0; number < FACTS; number++)
    expect((await put(started(run, task(number), 'a'))).ok).toBe(true);
}

const placesOf = async (stream: string): Promise<readonly string[]> => {
  const { cluster } = await untilAnswered(stream, () => mesh.jsm.streams.info(stream));
  return [cluster?.leader ?? '', ...(cluster?.replicas ?? []).map(({ name }) => name)];
};

test(
  'all streams come to one server while they are written, which serves them alone, or they get their copies back',
  async () => {
    const writing = append();
    await gatherStreams(mesh, 'two');
    await writing;
    for (const stream of streamNames().filter((name) => name !== LOG_STREAM))
      expect(await placesOf(stream), stream).toEqual(['two']);
    await gatherStreams(mesh, 'two');

    // Whoever gives it up gets back what there was.
    await scaleStreams(mesh, 3);
    for (const stream of streamNames()) expect((await placesOf(stream)).length, stream).toBe(3);
    await append();

    await gatherStreams(mesh, 'three');
    await Promise.all(servers.map((server) => server.end('SIGKILL')));
    const [, , three] = servers;
    if (three === undefined) throw new Error('no server');
    await group.configure(three);
    await three.start();
    const alone = await group.connect(three);
    expect((await alone.jsm.streams.info(RUN_STREAM)).state.messages).toBe(2 * (FACTS + 1));
    await alone.ensureLiveLog(1);
    expect((await alone.jsm.streams.info(LOG_STREAM)).config.num_replicas).toBe(1);
    // A daemon that heard of it last when there were three.
    await alone.ensureStreams({ replicas: 3 });
    const run = freshRun();
    expect((await openMesh(alone).runLog.append(published(run), 0)).ok).toBe(true);
  },
  5 * MINUTES,
);

test.each(['SIGKILL', 'SIGTERM'] as const)(
  'half of it is undone although one server has ended for good (%s), and nobody waits for its copies',
  async (end) => {
    await append();
    const [one, , three] = servers;
    await gatherStreams(mesh, 'one');
    await scaleStreams(mesh, 3);
    await three?.end(end);
    // Some of them only, as when whoever did it was killed.
    const [first = ''] = streamNames();
    await mesh.jsm.streams.update(first, { num_replicas: 1 });
    await scaleStreams(mesh, 3, undefined, ['three']);
    expect(await areScaled(mesh, 3)).toBe(true);
    for (const stream of streamNames())
      expect(await placesOf(stream), stream).toEqual(expect.arrayContaining(['one', 'two']));
    // What is on two of them is there without the first.
    await three?.start();
    await scaleStreams(mesh, 3);
    await one?.end('SIGKILL');
    await append();
    expect((await mesh.jsm.streams.info(RUN_STREAM)).state.messages).toBe(2 * (FACTS + 1));
  },
  5 * 60_000,
);
