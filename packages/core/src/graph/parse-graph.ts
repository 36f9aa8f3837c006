import type { Sha256 } from '../words/digest.ts';
import { TASKS_PER_GRAPH_MAX } from '../words/limits.ts';
import { ok, type Result, refused } from '../words/result.ts';
import { checkReferences } from './check-references.ts';
import { checkShape } from './check-shape.ts';
import { readSecretRefs } from './external-places.ts';
import type { Graph, Job } from './graph.ts';
import { nameJobs } from './name-jobs.ts';
import { normaliseJobs } from './normalise-jobs.ts';
import { type GraphProblem, ProblemList } from './problem-list.ts';

/**
 * Turns a document (already read from JSON or YAML) into a graph, or says everything that is wrong
 * with it: in document order, at most `PROBLEMS_LISTED_MAX`, then one entry that counts the rest.
 * Each stage goes on with what the one before could read, so that one mistake does not hide another.
 */
export function parseGraph(
  document: unknown,
  sha256: Sha256,
): Result<Graph, readonly GraphProblem[]> {
  const problems = new ProblemList(document);
  const shaped = checkShape(document, problems);
  if (shaped === undefined) return refused(problems.toProblems());
  const ids = nameJobs(shaped, problems);
  const read = normaliseJobs(shaped, ids, sha256, problems);
  const names = read.map((job, position) => ids[position] ?? job?.id);
  checkReferences(shaped, names, read, problems);
  checkTaskCount(read, problems);
  if (!problems.isEmpty) return refused(problems.toProblems());
  const jobs = read.filter((job) => job !== undefined);
  const { name } = shaped;
  const secrets = readSecretRefs(shaped.secrets);
  return ok({
    version: 1,
    ...(name === undefined ? {} : { name }),
    ...(secrets === undefined ? {} : { secrets }),
    jobs,
  });
}

function checkTaskCount(jobs: readonly (Job | undefined)[], problems: ProblemList): void {
  const tasks = jobs.reduce((sum, job) => sum + (job?.count ?? 1), 0);
  if (tasks <= TASKS_PER_GRAPH_MAX) return;
  problems.add(['jobs'], () => ({
    problem: `the jobs have ${tasks.toLocaleString('en')} tasks together, and at most ${TASKS_PER_GRAPH_MAX.toLocaleString('en')} are possible`,
    advice: 'Lower "count" where it is high, or split the document into several runs.',
  }));
}
