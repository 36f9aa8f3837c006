import {
  applyEvent,
  claimId,
  initialRunState,
  parseSpawn,
  type RunState,
  spawnerOf,
  taskId,
} from '@podmesh/core';
import { samplePeer, sampleStarted } from '@podmesh/testkit';
import { describe, expect, it } from 'vitest';
import { eventsOf, graphOf, newBench, peerParts, publishGraph } from '../daemon.test-kit.ts';
import { sha256 } from '../store/local-task-files.ts';
import { watchBudgets } from './budget-watch.ts';

/** A run whose task spawned two others, which are at work on two peers. */
async function newCase(spawn: object) {
  const bench = newBench();
  const { mesh, clock } = bench;
  const parts = peerParts(bench, 'p');
  const graph = graphOf({ id: 'root', spawn });
  const run = publishGraph(mesh, graph);
  const root = sampleStarted(run, taskId('root'));
  mesh.log.append(root, 0);
  const spawner = spawnerOf(folded(), taskId('root'), sha256);
  const jobs = spawner && parseSpawn({ key: 'k', jobs: [{ id: 'a' }, { id: 'b' }] }, spawner);
  if (jobs?.ok !== true) throw new Error('it cannot be spawned');
  const { claim, attempt } = root;
  const who = { run, parent: taskId('root'), attempt, claim, key: 'k', jobs: jobs.value };
  mesh.log.append({ kind: 'tasks-spawned', ...who }, 0);
  const at = ['a', 'b'].map((id) => sampleStarted(run, taskId(`root--k--${id}`)));
  for (const started of at) mesh.log.append(started, 0);
  const stop = new AbortController();
  const watching = watchBudgets({ ...parts, run }, folded, stop.signal);
  const told = () => eventsOf(mesh, run).filter(({ kind }) => kind === 'budget-spent');
  /** What two peers say of their attempts. */
  const say = async (...cpuMs: readonly number[]) => {
    for (const [number, used] of cpuMs.entries()) {
      const spending = { [at[number]?.claim ?? claimId('none')]: used };
      await parts.peers.announce({ ...samplePeer(`p${number}`), spending });
    }
  };
  function folded(): RunState {
    const state = initialRunState(graph);
    for (const logged of mesh.log.eventsOf(run)) applyEvent(state, logged);
    return state;
  }
  const end = async () => {
    stop.abort();
    await clock.advance(2_000);
    await watching;
  };
  return { clock, run, told, say, end };
}

describe('the CPU time of sub-tasks', () => {
  it('is added up from what all peers say, and told once when it is used up', async () => {
    const { clock, told, say, end, run } = await newCase({ cpuSeconds: 5 });
    await say(2_000, 2_900);
    await clock.advance(10_000);
    expect(told()).toEqual([]);
    await say(2_000, 3_100);
    await clock.advance(10_000);
    const parent = 'root';
    expect(told()).toEqual([{ kind: 'budget-spent', run, parent, cpuMs: 5_100 }]);
    await end();
  });

  it('is nobody’s business without a budget', async () => {
    const { clock, told, say, end } = await newCase({ depth: 3 });
    await say(1e12, 1e12);
    await clock.advance(10_000);
    expect(told()).toEqual([]);
    await end();
  });
});
