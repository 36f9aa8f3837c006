import { afterEach, describe, expect, it } from 'vitest';
import { HubNetwork } from '../process-kit/hub-network.ts';
import { untilGone } from '../process-kit/podman-containers.ts';
import { LONG_NIGHT, liveThrough, SHORT_NIGHT, seedOf } from './night.ts';
import { expectedLarge, expectedSum, taskCountOf } from './night-graph.ts';
import { NightMesh } from './night-mesh.ts';
import {
  errorsOf,
  foldedRecord,
  irretrievable,
  recordOn,
  unexplained,
  untilAtRest,
} from './night-verdict.ts';

const MINUTES = 60_000;
/** Of the first seed; the next ones are this with a number. */
const seed = seedOf(process.env);
/** Nights are lived through until this long has passed; none given: one short night. */
const minutes = Number(process.env.PODMESH_CHAOS_MINUTES ?? 0);
const size = minutes > 0 ? LONG_NIGHT : SHORT_NIGHT;
const NIGHT_MINUTES_MAX = 25;
const problem = await HubNetwork.problem();
if (problem !== undefined) console.log(`skipped, since no networks can be made here: ${problem}`);

describe.skipIf(problem !== undefined)('a night', () => {
  let night: NightMesh | undefined;

  afterEach(async () => {
    await night?.stop();
    night = undefined;
  }, 10 * MINUTES);

  async function liveOne(ofSeed: string): Promise<void> {
    const mesh = await NightMesh.start();
    night = mesh;
    const { run, storm } = await liveThrough(mesh, size, ofSeed);
    const { anchors, desk, laptop } = mesh;
    const survivors = [...anchors, desk];
    const told = run.told();
    const [end] = run.of('run-ended').slice(-1);
    expect(end?.event.state, told).toBe('succeeded');
    // Each task has one outcome, and nothing was written behind it.
    expect(run.violations()).toEqual([]);
    expect(end?.event.counts.succeeded).toBe(taskCountOf(size));
    expect(unexplained(run, storm, anchors)).toEqual([]);

    await untilAtRest(mesh.mesh, run, survivors);
    // Nobody can tell the laptop anything: it has ended by itself what it may no longer do.
    await untilGone({ peer: laptop.name });
    const folded = await foldedRecord(mesh.mesh, run);
    for (const machine of survivors) {
      expect(await recordOn(machine, run), machine.name).toEqual(folded);
      const sum = await machine.well('get', `${run.run}/all/sum`, '-o', '-');
      expect(sum, machine.name).toBe(String(expectedSum(size)));
    }
    for (let strand = 0; strand < size.strands; strand += 1) {
      const large = await desk.well('get', `${run.run}/large${strand}/large`, '-o', '-');
      expect(large.startsWith(expectedLarge(size, strand))).toBe(true);
    }
    const digests = Object.values(run.outputs());
    expect(digests).toHaveLength(taskCountOf(size));
    expect(await irretrievable(mesh.mesh, digests)).toEqual([]);
    for (const machine of survivors) console.log((await errorsOf(machine)).join('\n'));
    await mesh.stop();
  }

  it(
    'ends with every outcome published once, and all outputs there',
    async () => {
      const since = Date.now();
      for (let number = 0; number === 0 || Date.now() - since < minutes * MINUTES; number += 1)
        await liveOne(number === 0 ? seed : `${seed}.${number}`);
    },
    (minutes + NIGHT_MINUTES_MAX) * MINUTES,
  );
});
