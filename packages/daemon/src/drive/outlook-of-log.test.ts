import { peerId, taskId } from '@podmesh/core';
import { freshRun, sampleStarted } from '@podmesh/testkit';
import { expect, it } from 'vitest';
import { graphOf, newBench, peerParts, publishGraph } from '../daemon.test-kit.ts';
import { outlookOfLog } from './outlook-of-log.ts';

it('folds a run that another peer drives, to tell whether it waits for a person', async () => {
  const { mesh, ...bench } = newBench();
  const { log, loadGraph } = peerParts({ mesh, ...bench }, 'p');
  const run = publishGraph(mesh, graphOf({ id: 'a' }));
  const outlook = () => outlookOfLog({ log, loadGraph }, run);
  expect(await outlook()).toBe('goes-on');
  for (const [attempt, peer] of [
    [1, 'oak'],
    [2, 'fir'],
  ] as const) {
    const task = taskId('a');
    const last = mesh.log.lastOfTask(run, task)?.sequence ?? 0;
    const started = { ...sampleStarted(run, task), attempt, peer: peerId(peer) };
    mesh.log.append(started, last);
    const { claim } = started;
    const lost = { kind: 'attempt-lost', run, task, attempt, claim, peer: started.peer } as const;
    const { sequence = 0 } = mesh.log.lastOfTask(run, task) ?? {};
    mesh.log.append({ ...lost, reason: 'gone' }, sequence);
    expect(await outlook()).toBe(attempt === 1 ? 'goes-on' : 'waits-for-person');
  }
  expect(await outlookOfLog({ log, loadGraph }, freshRun())).toBe('unknown');
});
