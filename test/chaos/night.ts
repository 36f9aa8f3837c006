import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runId } from '@podmesh/core';
import { PublishedRun } from '../process-kit/published-run.ts';
import { type NightWork, nightGraph, taskCountOf } from './night-graph.ts';
import type { NightMesh } from './night-mesh.ts';
import { type NightLength, nightPlan, planText } from './night-plan.ts';
import { NightStorm } from './night-storm.ts';

/** How large a night is, in work and in faults. */
export interface NightSize extends NightWork, NightLength {}

/** About two minutes on a machine with two cores. */
export const SHORT_NIGHT: NightSize = {
  ...{ strands: 2, steps: 6, width: 7, secondsMax: 6 },
  ...{ laptopCutSeconds: 20, partitionSeconds: 20, moreBlows: 0 },
};

/** Several hundred tasks, as issue and README promise; some minutes. */
export const LONG_NIGHT: NightSize = {
  ...{ strands: 4, steps: 8, width: 11, secondsMax: 7 },
  ...{ laptopCutSeconds: 20, partitionSeconds: 60, moreBlows: 4 },
};

export interface NightEnd {
  readonly run: PublishedRun;
  readonly storm: NightStorm;
  readonly seed: string;
}

/** As a person wishes, or by chance. */
export const seedOf = (env: NodeJS.ProcessEnv): string =>
  env.PODMESH_CHAOS_SEED || randomBytes(4).toString('hex');

/** Publishes on the laptop and lets the plan of the seed fall on all of them; resolves when the run has ended. */
export async function liveThrough(
  night: NightMesh,
  size: NightSize,
  seed: string,
): Promise<NightEnd> {
  const { laptop, anchors, desk } = night;
  const cast = {
    laptop: laptop.role,
    anchors: anchors.map(({ role }) => role),
    desk: desk.role,
  };
  const plan = nightPlan(seed, cast, size);
  const replay = `PODMESH_CHAOS_SEED=${seed} npm run test:chaos`;
  const { isLossy } = anchors[0] ?? {};
  const disks = isLossy === true ? 'lose what was not synced' : 'keep what was written';
  console.log(`seed ${seed}; disks ${disks} at a power loss; again: ${replay}\n${planText(plan)}`);
  const document = join(night.folder, 'night.json');
  await writeFile(document, JSON.stringify(nightGraph(size)));
  const id = await laptop.well('run', document, '--detach', '--allow-root');
  const run = PublishedRun.follow(night.mesh, runId(id), () => night.told());
  night.ending.defer(() => run.stop());
  const storm = new NightStorm(night, { run, tasks: taskCountOf(size) });
  const limitMs = 60_000 * 20;
  const [end] = await Promise.all([run.untilEnd(limitMs), storm.rage(plan)]);
  console.log(`${seed}: ${end.state} with ${run.of('attempt-started').length} attempts`);
  return { run, storm, seed };
}
