import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest';
import { JetStreamArtifactFinder } from './jetstream-artifact-finder.ts';
import { JetStreamPeerDirectory } from './jetstream-peer-directory.ts';
import type { MeshConnection } from './mesh-connection.ts';
import { MeshSilentError } from './mesh-errors.ts';
import { digest, entry } from './samples.test-kit.ts';
import { DRIVE_SUBJECTS, inboxSubject, WHO_HAS_SUBJECT } from './subjects.ts';
import { TestServer } from './test-server.test-kit.ts';
import { encodeQuestion } from './who-has-message.ts';

let server: TestServer;
let asking: MeshConnection;
let answering: MeshConnection;
let stop: AbortController;

beforeEach(async () => {
  server = await TestServer.start();
  asking = await server.connect('asking');
  answering = await server.connect('answering');
  await asking.ensureStreams({ replicas: 1 });
  stop = new AbortController();
});

afterEach(async () => {
  stop.abort();
  await asking.close();
  await answering.close();
  await server.remove();
});

const finderOf = (mesh: MeshConnection, nowMs?: () => number): JetStreamArtifactFinder =>
  new JetStreamArtifactFinder(
    mesh,
    new JetStreamPeerDirectory(mesh),
    nowMs === undefined ? {} : { nowMs },
  );

const question = encodeQuestion({ artifacts: [digest(1)], rollCall: true });
const holding = { artifact: digest(1), bytes: 4, whole: true };

async function joinAs(name: string, nowMs?: () => number): Promise<void> {
  await new JetStreamPeerDirectory(answering).announce(entry(name));
  void finderOf(answering, nowMs).answer(entry(name).peer, () => [holding], stop.signal);
  await answering.nc.flush();
}

test('a server that restarts in the middle of a roll call costs time, and nobody', async () => {
  const names = ['a', 'b', 'c'];
  for (const name of names) await joinAs(name);
  // Listed, and answers only after the restart: so the roll call cannot end before.
  const late = await server.connect('late');
  onTestFinished(() => late.close());
  await new JetStreamPeerDirectory(late).announce(entry('late'));
  let restarted = false;
  const heard = new Promise<void>((resolve) => {
    void finderOf(late)
      .answer(
        entry('late').peer,
        () => {
          resolve();
          if (!restarted) throw new Error('no answer yet');
          return [holding];
        },
        stop.signal,
      )
      .catch(() => undefined);
  });
  await late.nc.flush();
  const roll = finderOf(asking).whoHas([digest(1)], 'roll-call', stop.signal);
  await heard;
  await server.kill();
  restarted = true;
  void finderOf(late).answer(entry('late').peer, () => [holding], stop.signal);
  await server.run();
  const { found, silent } = await roll;
  expect(silent).toEqual([]);
  expect(
    found
      .get(digest(1))
      ?.map(({ peer }) => peer)
      .sort(),
  ).toEqual([...names, 'late']);
});

test('a mesh that is away is no answer', async () => {
  await server.kill();
  const finder = finderOf(asking);
  await expect(finder.whoHas([digest(1)], 'roll-call', stop.signal)).rejects.toThrow(
    MeshSilentError,
  );
  const end = new AbortController();
  const waiting = finder.whoHas([digest(1)], 'first', end.signal);
  end.abort(new Error('enough'));
  await expect(waiting).rejects.toThrow('enough');
});

test('garbage is dropped, by who answers and by who asks', async () => {
  await joinAs('a');
  const drives: string[] = [];
  asking.nc.subscribe(DRIVE_SUBJECTS, { callback: (_, { subject }) => void drives.push(subject) });
  const inbox = inboxSubject(undefined, 'rogue', 1);
  const { nc } = answering;
  for (const junk of ['', 'x', '{"peer":"a"}', 'x'.repeat(100_000)]) {
    nc.publish(WHO_HAS_SUBJECT, junk);
    nc.publish(WHO_HAS_SUBJECT, junk, { reply: inbox });
  }
  nc.publish(WHO_HAS_SUBJECT, question);
  nc.publish(WHO_HAS_SUBJECT, question, { reply: 'pm.drive.run000000001' });
  nc.subscribe(WHO_HAS_SUBJECT, {
    callback: (_, { reply }) => {
      if (reply === undefined || reply === '') return;
      for (const junk of ['', '{', '{"peer":"b","has":[[7,1,true]]}', 'x'.repeat(200_000)])
        nc.publish(reply, junk);
    },
  });
  await nc.flush();
  const { found, silent } = await finderOf(asking).whoHas([digest(1)], 'roll-call', stop.signal);
  expect(silent).toEqual([]);
  expect(found.get(digest(1))).toEqual([{ ...holding, peer: 'a' }]);
  expect(drives).toEqual([]);
});

test('who asks too often is answered no more, others are', async () => {
  await joinAs('a', () => 0);
  let answers = 0;
  asking.nc.subscribe(`${inboxSubject(undefined, 'greedy', 0)}.*`, {
    callback: () => {
      answers += 1;
    },
  });
  for (let at = 0; at < 300; at++)
    asking.nc.publish(WHO_HAS_SUBJECT, question, {
      reply: `${inboxSubject(undefined, 'greedy', 0)}.${at}`,
    });
  // Questions are answered in order, so by then all of the greedy one were seen.
  const { found } = await finderOf(asking).whoHas([digest(1)], 'first', stop.signal);
  expect(found.size).toBe(1);
  expect(answers).toBe(50);
});

test('who has a hundred questions at once is answered all of them', async () => {
  await joinAs('a');
  const finder = finderOf(asking);
  const rolls = Array.from({ length: 100 }, () =>
    finder.whoHas([digest(1)], 'roll-call', stop.signal),
  );
  for (const { found, silent } of await Promise.all(rolls))
    expect([found.size, silent]).toEqual([1, []]);
});
