import type { Job } from './graph.ts';
import type { DocumentJob } from './graph-document.ts';
import { parseJobOutputRef } from './parse-reference.ts';
import type { Path, ProblemList } from './problem-list.ts';

/** The input in which each task of a `forEach` job finds its element. */
export const ITEM = 'item';

/** Reads `forEach`; reports what cannot be meant beside it. */
export function readForEach(
  said: DocumentJob,
  path: Path,
  problems: ProblemList,
): Pick<Job, 'forEach'> {
  if (said.forEach === undefined) return {};
  const { over, as } =
    typeof said.forEach === 'string' ? { over: said.forEach, as: undefined } : said.forEach;
  if (said.count !== undefined) {
    problems.add([...path, 'count'], () => ({
      problem: 'the job has "forEach", so its number of tasks is that of the elements',
      advice: 'Leave out "count".',
    }));
  }
  if (Object.hasOwn(said.inputs ?? {}, ITEM)) {
    problems.add([...path, 'inputs', ITEM], () => ({
      problem: `the input "${ITEM}" of a job with "forEach" is its element`,
      advice: 'Give this input another name.',
    }));
  }
  const parsed = parseJobOutputRef(over);
  if (!parsed.ok) {
    problems.add([...path, 'forEach'], () => parsed.error);
    return {};
  }
  const { job, output, index } = parsed.value;
  const from = { job, output, ...(index === undefined ? {} : { index }) };
  return { forEach: { ...from, ...(as === undefined ? {} : { as }) } };
}

/** The inputs of a job, with the element among them where it has one. */
export function withItem(said: DocumentJob, inputs: Job['inputs']): Job['inputs'] {
  return said.forEach === undefined ? inputs : { ...inputs, [ITEM]: { kind: 'item' } };
}
