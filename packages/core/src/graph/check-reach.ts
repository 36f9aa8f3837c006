import type { StorePlace } from '../external/store-place.ts';
import type { Job } from './graph.ts';
import { isLoopbackUrl } from './parse-place.ts';
import type { ProblemList } from './problem-list.ts';

/**
 * What a task spawns reaches no further than the task: it may be at work on what strangers wrote, and is not who
 * published. So it gets no network that it has not itself, and never the loopback of a peer, which no container reaches.
 */
export function checkReach(
  job: Job,
  at: number,
  spawner: Pick<Job, 'net'>,
  problems: ProblemList,
): void {
  if (job.net && !spawner.net) {
    problems.add(['jobs', at, 'net'], () => ({
      problem: 'a sub-task cannot have a network that the task which spawns it has not',
      advice: NET_ADVICE,
    }));
  }
  for (const [name, input] of Object.entries(job.inputs)) {
    if (input.kind !== 'external') continue;
    checkPlace(input.place, ['jobs', at, 'inputs', name], spawner, problems);
  }
  for (const [name, place] of Object.entries(job.deliveries ?? {})) {
    checkPlace(place, ['jobs', at, 'outputs', name, 'to'], spawner, problems);
  }
}

const NET_ADVICE = 'Write "net: true" at the job of the document that spawns.';

function checkPlace(
  place: StorePlace,
  path: readonly (string | number)[],
  { net }: Pick<Job, 'net'>,
  problems: ProblemList,
): void {
  if (place.kind === 'https' && isLoopbackUrl(place.url)) {
    problems.add(path, () => ({
      problem: 'a sub-task cannot reach the programs of the machine itself',
      advice: 'Name the address in the document: only who publishes may.',
    }));
  } else if (!net) {
    problems.add(path, () => ({
      problem: 'a task without a network cannot spawn what reaches stores outside of the mesh',
      advice: NET_ADVICE,
    }));
  }
}
