import type { RunPublished } from '@podmesh/core';
import type { MoveStep } from '@podmesh/daemon';
import { AnchorBook, openMesh } from '@podmesh/jetstream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { graphOf, newRunId } from '../../bench/bench-mesh.ts';
import { untilSeen } from '../../process-kit/within.ts';
import { untilGeneration, YoungMesh } from '../../process-kit/young-mesh.ts';

const MINUTES = 60_000;

const published = (): RunPublished => ({
  kind: 'run-published',
  run: newRunId(),
  graph: { kind: 'inline', graph: graphOf([{ id: 'idle' }]) },
  taskCount: 0,
  publisher: 'acceptance@localhost',
});

/** Before the note `moved` is on the disk the old server is the truth; from then on the new ones are. */
const TRUTH: readonly (readonly [MoveStep, number])[] = [
  ['gathered', 1],
  ['closed', 1],
  ['copied', 1],
  ['moved', 2],
  ['marked', 2],
];

describe('a mover that is killed', () => {
  let young: YoungMesh;

  beforeEach(() => {
    young = new YoungMesh();
  });
  afterEach(() => young.ending.end(), 3 * MINUTES);

  it.each(TRUTH)(
    'after "%s" leaves the mesh on generation %d, with every fact, and can move it again',
    async (step, generation) => {
      await young.start({ PODMESH_KILL_MOVE_AT: step });
      const connection = await young.connect();
      const { runLog, peers } = openMesh(connection);
      const facts = [published(), published(), published()];
      for (const fact of facts) expect((await runLog.append(fact, 0)).ok).toBe(true);
      const killed = young.ann.end();
      let isKilled = false;
      void killed.then(() => {
        isKilled = true;
      });
      // A copy that fails leaves the mesh where it is, and is asked for again.
      while (!isKilled) expect((await young.setAnchors()).code).not.toBe(0);
      expect((await killed).signal).toBe('SIGKILL');
      await young.ann.start();

      const late = published();
      expect((await runLog.append(late, 0)).ok).toBe(true);
      expect((await new AnchorBook(connection).read())?.generation).toBe(generation);
      const runs = (await runLog.runs()).map(({ run }) => run).sort();
      expect(runs).toEqual([...facts, late].map(({ run }) => run).sort());
      if (generation > 1) return;

      // Those who had joined in vain are free again, and the next try is another generation.
      const areThere = async (): Promise<boolean> => {
        const names = (await peers.list()).map(({ peer }) => String(peer));
        return young.names.every((name) => names.includes(name));
      };
      await untilSeen(MINUTES, () => 'all three peers to be heard of', areThere);
      const again = await young.setAnchors();
      expect(again.code, again.err).toBe(0);
      await untilGeneration(connection, 2);
      const after = (await runLog.runs()).map(({ run }) => run).sort();
      expect(after).toEqual(runs);
    },
    5 * MINUTES,
  );
});
