import { taskId } from '@podmesh/core';
import {
  DirectProcess,
  FakeMesh,
  sampleEnded,
  sampleStarted,
  sampleSucceeded,
  VirtualClock,
} from '@podmesh/testkit';
import { expect, it } from 'vitest';
import type { Client } from './client.ts';
import { DocumentError, Podmesh } from './podmesh.ts';

function newCase() {
  const clock = new VirtualClock();
  const mesh = new FakeMesh(clock);
  const { log: runLog, ...ports } = mesh.portsFor(new DirectProcess('me', clock));
  const client: Client = {
    ...ports,
    runLog,
    objects: ports.artifacts,
    members: { list: async () => [], revision: async () => '' },
    anchors: {
      read: async () => undefined,
    },
    url: 'nats://nowhere',
    onConnection: () => () => undefined,
    close: async () => undefined,
  };
  return { mesh, podmesh: new Podmesh(client, 'somebody@here') };
}

const DOCUMENT = { version: 1, jobs: [{ id: 'a', container: 'localhost/tool:1' }] };

it('publishes a document, tells each fact of the run, and gives the record at its end', async () => {
  const { mesh, podmesh } = newCase();
  const run = await podmesh.publish(DOCUMENT);
  expect(mesh.drives.all()).toHaveLength(1);
  const heard: string[] = [];
  const record = run.follow(({ event }) => {
    heard.push(event.kind);
  }, new AbortController().signal);
  const started = sampleStarted(run.id, taskId('a'));
  const at = mesh.log.append(started, 0);
  mesh.log.append(sampleSucceeded(started), at.ok ? at.value : 0);
  await run.cancel('enough');
  await run.cancel('enough');
  mesh.log.append(sampleEnded(run.id), 0);
  expect(await record).toMatchObject({ run: run.id, state: 'succeeded', counts: { tasks: 1 } });
  expect(heard).toEqual([
    ...['run-published', 'attempt-started', 'attempt-succeeded'],
    'run-cancel-requested',
  ]);
  expect(await podmesh.run(run.id).record()).toMatchObject({ state: 'succeeded' });
});

it('says what is wrong with a document, and publishes nothing then', async () => {
  const { mesh, podmesh } = newCase();
  const wrong = podmesh.publish({ version: 1, jobs: [{ id: 'a' }] });
  await expect(wrong).rejects.toThrow(DocumentError);
  await expect(wrong).rejects.toThrow(/jobs\[0\]/);
  const local = { ...DOCUMENT.jobs[0], inputs: { a: 'file:a' } };
  await expect(podmesh.publish({ version: 1, jobs: [local] })).rejects.toThrow('a/a');
  expect(mesh.log.entries).toEqual([]);
});
