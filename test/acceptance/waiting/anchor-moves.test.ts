import type { RunPublished } from '@podmesh/core';
import type { MoveStep } from '@podmesh/daemon';
import { AnchorBook, type Mesh, type MeshConnection, openMesh } from '@podmesh/jetstream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { graphOf, newRunId } from '../../bench/bench-mesh.ts';
import { untilDone, untilSeen, within } from '../../process-kit/within.ts';
import { YoungMesh } from '../../process-kit/young-mesh.ts';

const MINUTES = 60_000;
const LOOK_MS = 200;

const published = (): RunPublished => ({
  kind: 'run-published',
  run: newRunId(),
  graph: { kind: 'inline', graph: graphOf([{ id: 'idle' }]) },
  taskCount: 0,
  publisher: 'acceptance@localhost',
});

/**
 * Meshes, and the steps at which their movers are killed one after the other. Before the note `moved` is on the disk the
 * old server is the truth, and the next try begins from there; from then on the new ones are.
 */
const STEPS: readonly (readonly MoveStep[])[] = [
  ['gathered', 'closed', 'copied', 'moved'],
  ['marked'],
];
const MOVED: readonly MoveStep[] = ['moved', 'marked'];

const killAt = (step: MoveStep | '') => ({ PODMESH_KILL_MOVE_AT: step });

/** From servers that may just have to elect who leads them. */
const answer = <T>(what: string, ask: () => Promise<T>): Promise<T> =>
  untilDone(4 * MINUTES, () => what, ask);

describe('a mover that is killed', () => {
  let young: YoungMesh;
  let connection: MeshConnection;
  let mesh: Mesh;
  const facts: RunPublished[] = [];

  beforeEach(() => {
    young = new YoungMesh();
    facts.length = 0;
  });
  afterEach(() => young.ending.end(), 10 * MINUTES);

  async function append(): Promise<void> {
    const fact = published();
    facts.push(fact);
    expect((await mesh.runLog.append(fact, 0)).ok).toBe(true);
  }

  /** Moves the mesh until the mover is killed; a copy that fails leaves it where it is, and is asked for again. */
  async function moveInVain(step: MoveStep, next: MoveStep | ''): Promise<void> {
    await untilAllAreHeard();
    let isKilled = false;
    const killed = young.ann.end().then((end) => {
      isKilled = true;
      return end;
    });
    let said = '';
    const dies = async (): Promise<boolean> => {
      const { code, out, err } = await young.setAnchors();
      said = out + err;
      expect(code, said).not.toBe(0);
      return isKilled;
    };
    const what = () => `a death at "${step}"; ${said}; ${young.ann.said}`;
    await untilSeen(4 * MINUTES, what, dies, LOOK_MS);
    expect((await within(4 * MINUTES, what, killed)).signal).toBe('SIGKILL');
    Object.assign(young.ann.options.env ?? {}, killAt(next));
    await young.ann.start();
  }

  /** Those who joined in vain are free again by then. */
  async function untilAllAreHeard(): Promise<void> {
    let heard: readonly string[] = [];
    const areThere = async (): Promise<boolean> => {
      heard = (await mesh.peers.list()).map(({ peer }) => String(peer));
      return young.names.every((name) => heard.includes(name));
    };
    const what = () => `all three peers to be heard of; so are ${heard}`;
    await untilSeen(4 * MINUTES, what, areThere, LOOK_MS);
  }

  async function expectEveryFact(step: MoveStep): Promise<void> {
    const list = async () => (await mesh.runLog.runs()).map(({ run }) => run).sort();
    const runs = await answer(`the runs after "${step}"`, list);
    expect(runs, step).toEqual(facts.map(({ run }) => run).sort());
  }

  it.each(STEPS.map((steps) => [steps.join(', then '), steps] as const))(
    'after %s leaves the mesh where it is known to be, with every fact, and can move it again',
    async (_, steps) => {
      await young.start(killAt(steps[0] ?? ''));
      connection = await young.connect();
      mesh = openMesh(connection);
      young.ending.defer(() => mesh.stop());
      for (let number = 0; number < 3; number += 1) await append();
      for (const [number, step] of steps.entries()) {
        await moveInVain(step, steps[number + 1] ?? '');
        await append();
        const record = await answer('the record', () => new AnchorBook(connection).read());
        expect(record?.anchors, step).toHaveLength(MOVED.includes(step) ? 3 : 1);
        expect((record?.generation ?? 0) > 1, step).toBe(MOVED.includes(step));
        await expectEveryFact(step);
      }
    },
    15 * MINUTES,
  );
});
