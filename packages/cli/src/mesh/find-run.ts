import { isRunId, type RunId, type RunSummary, runId } from '@podmesh/core';
import type { Client } from '@podmesh/sdk';
import { CliError } from '../cli-error.ts';
import type { Home } from '../home/home.ts';

const CANDIDATES_SHOWN = 5;

/** The run that a person means by an id, the beginning of one, or `last`. Throws `no-such-run`. */
export async function findRun(client: Client, home: Home, text: string): Promise<RunId> {
  if (text === 'last') return (await home.lastRun()) ?? newest(await client.runLog.runs());
  if (isRunId(text)) return runId(text);
  const runs = /^[a-z0-9]{1,11}$/.test(text) ? await client.runLog.runs() : [];
  const [found, ...more] = runs.filter(({ run }) => run.startsWith(text));
  if (found === undefined) throw noSuchRun(text);
  if (more.length === 0) return found.run;
  const named = [found, ...more].slice(0, CANDIDATES_SHOWN).map(({ run }) => run);
  const dots = more.length >= CANDIDATES_SHOWN ? ', …' : '';
  throw new CliError('no-such-run', `several runs begin with ${text}: ${named.join(', ')}${dots}`, {
    advice: 'Write more of the id.',
  });
}

export function noSuchRun(text: string): CliError {
  return new CliError('no-such-run', `there is no run ${JSON.stringify(text)} in this mesh`, {
    advice: 'The runs it knows: podmesh ps --all',
  });
}

function newest(runs: readonly RunSummary[]): RunId {
  const last = runs.at(-1);
  if (last !== undefined) return last.run;
  throw new CliError('no-such-run', 'there is no last run: nothing was published yet', {
    advice: 'Publish something: podmesh run FILE',
  });
}
