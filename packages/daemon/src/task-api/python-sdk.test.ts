import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type AttemptStarted, taskId } from '@podmesh/core';
import { sampleStarted, sampleSucceeded } from '@podmesh/testkit';
import { expect, it } from 'vitest';
import { eventsOf } from '../daemon.test-kit.ts';
import { temporaryFolder } from '../store/store.test-kit.ts';
import { newApiCase } from './task-api.test-kit.ts';

const SDK = fileURLToPath(new URL('../../../sdk-python', import.meta.url));
const execute = promisify(execFile);

/** What a program says that has a client `peer` of that socket. */
async function python(socket: string, ...lines: readonly string[]): Promise<string> {
  const program = [
    'import podmesh, sys',
    'peer = podmesh.Client(sys.argv[1], away_seconds_max=5)',
    ...lines,
  ];
  const env = { ...process.env, PYTHONPATH: SDK, PYTHONDONTWRITEBYTECODE: '1' };
  const words = ['-c', program.join('\n'), socket];
  return (await execute('python3', words, { env })).stdout;
}

it("asks all that a task may ask, with this machine's Python", async () => {
  const { open } = await newApiCase();
  const { socket, offer } = open();
  const folder = await temporaryFolder();
  const copy = join(folder, 'copy');
  const said = await python(
    socket,
    'print(peer.me()["task"], peer.capacity()["free"]["cpus"])',
    'peer.progress(0.5, "half"); peer.metrics(loss=0.25)',
    'digest = peer.put("ä" * 100000)',
    'print(len(peer.fetch(digest)))',
    `peer.download(digest, ${JSON.stringify(copy)})`,
    `print(peer.put_file(${JSON.stringify(copy)}) == digest)`,
    'try: peer.spawn({"nonsense": 1})',
    'except podmesh.PodmeshError as error: print(error.status, error.code)',
  );
  expect(said).toBe(`${offer.task} 4\n200000\nTrue\n400 bad-request\n`);
  expect((await readFile(copy, 'utf8')).length).toBe(100_000);
});

it('spawns, waits as they are settled, and wants the rest no more', async () => {
  const { open, mesh } = await newApiCase();
  const { socket, offer, reservation } = open();
  const saying = python(
    socket,
    'tasks = peer.spawn_all([{"id": "x", "count": 3}], key="k")',
    'first = next(peer.as_completed(tasks))',
    'print(first.id, first.state, first.index, sorted(first.outputs()))',
    'for task in tasks: task.cancel()',
    'print([task.look()["state"] for task in tasks])',
    'try: tasks[0].outputs()',
    'except podmesh.TaskFailed as error: print(error)',
  );
  await reservation.lent;
  const started: AttemptStarted = sampleStarted(offer.run, taskId('root--k:1'));
  const at = mesh.log.append(started, 0);
  mesh.log.append(sampleSucceeded(started), at.ok ? at.value : 0);
  expect(await saying).toBe(
    "root--k:1 succeeded 1 ['out1']\n['cancelled', 'succeeded', 'cancelled']\n" +
      'root--k:0 cancelled: it was cancelled\n',
  );
  const kinds = eventsOf(mesh, offer.run).map(({ kind }) => kind);
  expect(kinds.filter((kind) => kind === 'sub-tasks-dropped')).toHaveLength(2);
});

it('says so when nobody answers', async () => {
  const nobody = join(await temporaryFolder(), 'sock');
  const said = await python(
    nobody,
    'peer = podmesh.Client(sys.argv[1], away_seconds_max=0)',
    'try: peer.me()',
    'except podmesh.PodmeshError as error: print(error.code)',
  );
  expect(said).toBe('away\n');
});
