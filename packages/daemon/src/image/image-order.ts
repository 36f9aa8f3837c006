import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { ok, type Result, refused } from '@podmesh/core';
import { defaultHome } from '../home.ts';

/** What `podmesh-daemon image …` was asked to do. */
export type ImageOrder = ImageAction & {
  readonly home: string;
  readonly allowRoot: boolean;
};

export type ImageAction =
  /** `directory` and `file` are absolute. */
  | {
      readonly action: 'build';
      readonly directory: string;
      readonly tag: string;
      readonly file?: string;
    }
  | { readonly action: 'ls' }
  | { readonly action: 'resolve'; readonly references: readonly string[]; readonly pull: boolean };

/** Reads the words after `image`; all problems at once, each a sentence. */
export function parseImageOrder(
  words: readonly string[],
  env: NodeJS.ProcessEnv,
): Result<ImageOrder, readonly string[]> {
  const parsed = parseWords(words);
  if (!parsed.ok) return parsed;
  const { values, positionals } = parsed.value;
  const action = actionOf(positionals, values);
  if (!action.ok) return action;
  const home = values.home || defaultHome(env);
  return ok({ ...action.value, home, allowRoot: values['allow-root'] ?? false });
}

interface Values {
  readonly tag?: string | undefined;
  readonly file?: string | undefined;
  readonly pull?: boolean | undefined;
}

function actionOf(
  [verb, ...operands]: readonly string[],
  { tag, file, pull }: Values,
): Result<ImageAction, readonly string[]> {
  switch (verb) {
    case 'build': {
      const [directory] = operands;
      if (directory === undefined || operands.length > 1)
        return refused(['image build needs one DIR']);
      if (tag === undefined) return refused(['image build needs --tag NAME']);
      const named = file === undefined ? {} : { file: resolve(file) };
      return ok({ action: 'build', directory: resolve(directory), tag, ...named });
    }
    case 'ls':
      return operands.length === 0 ? ok({ action: 'ls' }) : refused(['image ls takes no words']);
    case 'resolve':
      if (operands.length === 0) return refused(['image resolve needs at least one REF']);
      return ok({ action: 'resolve', references: operands, pull: pull ?? false });
    default:
      return refused([`unknown command image ${verb ?? ''}: build, ls or resolve`]);
  }
}

function parseWords(words: readonly string[]) {
  try {
    const parsed = parseArgs({
      args: [...words],
      allowPositionals: true,
      options: {
        home: { type: 'string' },
        tag: { type: 'string' },
        file: { type: 'string' },
        pull: { type: 'boolean' },
        'allow-root': { type: 'boolean' },
      },
    });
    return ok(parsed);
  } catch (error) {
    return refused([error instanceof Error ? error.message : String(error)]);
  }
}
