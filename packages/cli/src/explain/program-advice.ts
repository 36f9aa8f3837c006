import { PYTHON_RESULT } from '@podmesh/core';
import type { ProgramError } from '../mesh/program-error.ts';

/** What a person can do about the error of a Python job; `target` is `RUN/TASK`. */
export function programAdvice({ type }: ProgramError, target: string): readonly string[] {
  const known = ADVICE[type];
  const record = `All it says, with the traceback: podmesh get ${target}/${PYTHON_RESULT} -o -`;
  return known === undefined ? [record] : [known, record];
}

/** By the names that Python, and podmesh's runner in the image, give their errors. */
const ADVICE: Readonly<Partial<Record<string, string>>> = {
  ModuleNotFoundError: 'Name the package that is missing under "requirements" of the "job".',
  MissingMainFile: 'Put main.py at the top of the zip file or directory.',
  MissingMainFunction: 'Define main() in main.py, a function that takes no arguments.',
  WrongLayer:
    'In a mesh of several architectures name one with "arch" under "needs", so that requirements are installed where the program runs.',
  UnserialisableResult:
    'Return maps, lists, text, finite numbers, True, False or None; write other data to a declared output.',
  Terminated: 'Its traceback tells where it was when its time was over.',
  MemoryError: 'Give it more "memory" under "needs".',
};
