import type { JobId, RunId, TaskId } from '@podmesh/core';
import { nearestWord } from '../arguments/nearest-word.ts';
import { CliError } from '../cli-error.ts';

const JOBS_SHOWN = 10;

/** The refusal of a name that is none of the run's tasks and jobs, with what was probably meant. */
export function noSuchTask(run: RunId, named: TaskId, jobs: readonly JobId[]): CliError {
  const advice = `${likelyMeant(run, named, jobs)}Its jobs: ${listed(jobs)}`;
  return new CliError('no-such-task', `run ${run} has no task ${named}`, { advice });
}

function likelyMeant(run: RunId, named: TaskId, jobs: readonly JobId[]): string {
  const [job = ''] = named.split(':', 1);
  const below = jobs.filter((id) => id.startsWith(`${job}--`));
  if (jobs.some((id) => id === job)) return `Which tasks ${job} has: podmesh show ${run}. `;
  if (below.length > 0) return `It has of ${job}: ${listed(below)}. `;
  const near = nearestWord(job, jobs);
  return near === undefined ? '' : `Did you mean ${near}? `;
}

const listed = (jobs: readonly JobId[]): string =>
  `${jobs.slice(0, JOBS_SHOWN).join(', ')}${jobs.length > JOBS_SHOWN ? ', …' : ''}`;
