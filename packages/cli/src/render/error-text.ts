import type { CliError } from '../cli-error.ts';
import { sanitise } from './sanitise.ts';

/** A refusal for people: what, every problem with its place and advice, and what to do. */
export function errorText(error: CliError): string {
  const problems = error.problems.flatMap(({ path, problem, advice }) => [
    `  ${path}: ${problem}`,
    `      ${advice}`,
  ]);
  const advice = error.advice === undefined ? [] : [error.advice];
  return `${[`podmesh: ${error.message}`, ...problems, ...advice].map(sanitise).join('\n')}\n`;
}

/** The same for programs, as one line: `{"error":{"kind","message","exitCode","advice"?,"problems"?}}`. */
export function errorJson({ kind, message, exitCode, advice, problems }: CliError): string {
  const error = {
    kind,
    message,
    exitCode,
    ...(advice === undefined ? {} : { advice }),
    ...(problems.length === 0 ? {} : { problems }),
  };
  return `${JSON.stringify({ error })}\n`;
}
