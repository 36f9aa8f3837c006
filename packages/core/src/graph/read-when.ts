import { jobId } from '../words/ids.ts';
import type { Job, When } from './graph.ts';
import type { DocumentWhen } from './graph-document.ts';
import { parseJobOutputRef } from './parse-reference.ts';
import type { Path, ProblemList } from './problem-list.ts';

/** Reads `when`; reports what cannot be meant. */
export function readWhen(
  said: DocumentWhen | undefined,
  path: Path,
  problems: ProblemList,
): Pick<Job, 'when'> {
  if (said === undefined) return {};
  const { job, exit, output, equals, contains } = said;
  const not = said.not === true ? { not: true as const } : {};
  const byExit = job !== undefined && exit !== undefined;
  const byText = output !== undefined && (equals === undefined) !== (contains === undefined);
  const mixed = byExit ? (output ?? equals ?? contains) : (job ?? exit);
  if (byExit === byText || mixed !== undefined) {
    problems.add([...path, 'when'], () => ({
      problem: 'this is neither a condition on an exit code nor one on a text',
      advice:
        'Write {"job": "<id>", "exit": 1}, or {"output": "jobs:<id>/<output>", "equals": "<text>"}, or "contains" instead of "equals".',
    }));
    return {};
  }
  if (byExit) {
    const codes = typeof exit === 'number' ? [exit] : exit;
    return { when: { kind: 'exit', job: jobId(job), codes, ...not } };
  }
  const parsed = parseJobOutputRef(output ?? '');
  if (!parsed.ok) {
    problems.add([...path, 'when', 'output'], () => parsed.error);
    return {};
  }
  const from = parsed.value;
  const when: When = {
    ...{ kind: 'output', job: from.job, output: from.output },
    ...(from.index === undefined ? {} : { index: from.index }),
    ...(equals === undefined ? {} : { equals }),
    ...(contains === undefined ? {} : { contains }),
    ...not,
  };
  return { when };
}
