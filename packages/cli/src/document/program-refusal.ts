import { type TreeProblem, unreachable } from '@podmesh/core';
import { bytesText } from '../render/amounts.ts';

/** What a program may hold, laid out; a few kilobytes of zip can claim to be petabytes. */
export const PROGRAM_BYTES_MAX = 1024 ** 3;
export const PROGRAM_ENTRIES_MAX = 100_000;

/** Why a program cannot be published: the message ends the sentence "the zip file …" or "the directory …". */
export class ProgramRefusal extends Error {
  readonly advice: string;
  constructor(problem: string, advice: string, cause?: unknown) {
    super(problem, { cause });
    this.name = 'ProgramRefusal';
    this.advice = advice;
  }
}

/** An entry that no machine could lay out beside the others. */
export function refusalOfPlace(problem: TreeProblem): ProgramRefusal {
  switch (problem.kind) {
    case 'path-outside':
      return outside(problem.path);
    case 'link-outside':
      return refusalOfLink(problem.path, problem.target);
    case 'twice':
      return broken(`it has ${problem.path} twice`);
    case 'no-directory':
      return broken(`${problem.path} is a directory, and a file or a link as well`);
    default:
      return unreachable(problem);
  }
}

export function broken(why: string, cause?: unknown): ProgramRefusal {
  return new ProgramRefusal(`is broken: ${why}`, 'Make the zip file again.', cause);
}

export function outside(name: string): ProgramRefusal {
  return new ProgramRefusal(
    `writes outside of its directory: ${name}`,
    'Make it again, with paths below the directory that is zipped.',
  );
}

export function tooLarge(): ProgramRefusal {
  const entries = PROGRAM_ENTRIES_MAX.toLocaleString('en');
  return new ProgramRefusal(
    `holds more than ${bytesText(PROGRAM_BYTES_MAX)} or ${entries} entries`,
    'Leave out what is not part of the program, and give data to the task under "inputs".',
  );
}

/** The interpreter of a virtual environment is a link to that of the machine. */
const VENV = /^(?:(.*)\/)?bin\/python[\d.]*$/;

function refusalOfLink(path: string, target: string): ProgramRefusal {
  const problem = `has a link that leads outside of it, or may: ${path}, a link to ${target}`;
  const venv = VENV.exec(path)?.[1];
  return new ProgramRefusal(
    problem,
    venv === undefined
      ? 'Replace the link by what it leads to, or give that to the task under "inputs".'
      : `Leave out ${venv}, which looks like a virtual environment, and name what is installed there under "requirements".`,
  );
}
