import { isJobId, type JobId, jobId } from '../words/ids.ts';
import type { ShapedDocument } from './check-shape.ts';
import { inWords, type ProblemList } from './problem-list.ts';

/**
 * The id of each job by position; undefined where the written one is none. A job without one is
 * called `job-<position>` (from 1), with a number behind it should another job have taken that.
 */
export function nameJobs(
  shaped: ShapedDocument,
  problems: ProblemList,
): readonly (JobId | undefined)[] {
  const first = new Map<string, number>();
  for (const [position, id] of shaped.writtenIds.entries()) {
    if (id === undefined) continue;
    const earlier = first.get(id);
    if (earlier === undefined) first.set(id, position);
    else
      problems.add(['jobs', position, 'id'], () => ({
        problem: `the id ${inWords(id)} is already taken by jobs[${earlier}]`,
        advice: 'Give each job an id of its own, and check which of the two others refer to.',
      }));
  }
  return shaped.writtenIds.map((id, position) => {
    if (id === undefined) return jobId(freeName(`job-${position + 1}`, first));
    return isJobId(id) ? jobId(id) : undefined;
  });
}

/** The wanted name, with a number behind it should it be taken. */
export function freeName(wanted: string, taken: Pick<ReadonlySet<string>, 'has'>): string {
  let name = wanted;
  for (let suffix = 2; taken.has(name); suffix++) name = `${wanted}-${suffix}`;
  return name;
}
