import type { RunPublished } from '@podmesh/core';
import type { MoveStep } from '@podmesh/daemon';
import { AnchorBook, openMesh } from '@podmesh/jetstream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { graphOf, newRunId } from '../../bench/bench-mesh.ts';
import { untilDone, untilSeen } from '../../process-kit/within.ts';
import { untilGeneration, YoungMesh } from '../../process-kit/young-mesh.ts';

const MINUTES = 60_000;
const LOOK_MS = 200;

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

/** From servers that may just have to elect who leads them. */
const answer = <T>(what: string, ask: () => Promise<T>): Promise<T> =>
  untilDone(4 * MINUTES, () => what, ask);

describe('a mover that is killed', () => {
  let young: YoungMesh;

  beforeEach(() => {
    young = new YoungMesh();
  });
  afterEach(() => young.ending.end(), 8 * MINUTES);

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
      let said = '';
      const dies = async (): Promise<boolean> => {
        const { code, out, err } = await young.setAnchors();
        said = out + err;
        expect(code, said).not.toBe(0);
        return isKilled;
      };
      await untilSeen(4 * MINUTES, () => `a death; ${said}; ${young.ann.said}`, dies, LOOK_MS);
      expect((await killed).signal).toBe('SIGKILL');
      await young.ann.start();

      const late = published();
      expect((await runLog.append(late, 0)).ok).toBe(true);
      const record = await answer('the record', () => new AnchorBook(connection).read());
      expect(record?.generation).toBe(generation);
      const list = async () => (await runLog.runs()).map(({ run }) => run).sort();
      const runs = await answer('the runs', list);
      expect(runs).toEqual([...facts, late].map(({ run }) => run).sort());
      if (generation > 1) return;

      // Those who had joined in vain are free again, and the next try is another generation.
      let heard: readonly string[] = [];
      const areThere = async (): Promise<boolean> => {
        heard = (await peers.list()).map(({ peer }) => String(peer));
        return young.names.every((name) => heard.includes(name));
      };
      const what = () => `all three peers to be heard of; so are ${heard}`;
      await untilSeen(4 * MINUTES, what, areThere, LOOK_MS);
      await young.well(young.ann, 'anchors', 'set', ...young.names);
      await untilGeneration(connection, 2);
      expect(await answer('the runs', list)).toEqual(runs);
    },
    15 * MINUTES,
  );
});
