import type { GraphProblem } from '@podmesh/core';
import { CliError } from '../cli-error.ts';
import { countText } from '../render/amounts.ts';

/** Says everything that is wrong with a document at once. */
export function documentError(problems: readonly GraphProblem[]): CliError {
  const count = countText(problems.length, 'problem');
  return new CliError('document', `the document has ${count}, so nothing was started`, {
    problems,
  });
}
