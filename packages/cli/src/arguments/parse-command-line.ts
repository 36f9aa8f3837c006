import { type ParseArgsConfig, parseArgs } from 'node:util';
import { ok, type Result, refused } from '@podmesh/core';
import { CliError } from '../cli-error.ts';
import { type CommandShape, GLOBAL_OPTIONS, type OptionShape, usageOf } from './command-shape.ts';
import { COMMAND_NAMES, COMMANDS, type CommandName, isCommandName } from './command-table.ts';
import { nearestWord } from './nearest-word.ts';

/** What was asked for, checked against the command's shape. */
export interface Invocation {
  readonly command: CommandName;
  readonly operands: readonly string[];
  readonly options: Options;
}

export type CommandLine =
  | { readonly kind: 'command'; readonly invocation: Invocation }
  | { readonly kind: 'help'; readonly command: CommandName | undefined }
  | { readonly kind: 'version' };

type Values = Readonly<
  Record<string, string | boolean | readonly (string | boolean)[] | undefined>
>;

/** The options given, by name. */
export class Options {
  readonly #values: Values;

  constructor(values: Values) {
    this.#values = values;
  }

  flag(name: string): boolean {
    return this.#values[name] === true;
  }

  text(name: string): string | undefined {
    const value = this.#values[name];
    return typeof value === 'string' ? value : undefined;
  }

  texts(name: string): readonly string[] {
    const value = this.#values[name];
    return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
  }
}

/** Reads the words after `podmesh`; global options may stand before the command. */
export function parseCommandLine(argv: readonly string[]): Result<CommandLine, CliError> {
  const place = commandPlace(argv);
  if (place === undefined) return withoutCommand(argv);
  const word = argv[place] ?? '';
  if (!isCommandName(word)) return refused(unknownCommand(word));
  const words = [...argv.slice(0, place), ...argv.slice(place + 1)];
  const shape: CommandShape = COMMANDS[word];
  const parsed = parseWords(words, shape);
  if (!parsed.ok) return parsed;
  const { values, positionals } = parsed.value;
  if (values.help === true) return ok({ kind: 'help', command: word });
  if (word === 'help') return helpOn(positionals);
  const required = shape.operands.filter((operand) => operand.optional !== true);
  const most = shape.operands.at(-1)?.repeated === true ? Infinity : shape.operands.length;
  if (positionals.length < required.length || positionals.length > most) {
    return refused(wrongCount(positionals, shape));
  }
  const options = new Options(values);
  return ok({ kind: 'command', invocation: { command: word, operands: positionals, options } });
}

/** Where the first word is that is neither an option nor the value of one. */
function commandPlace(argv: readonly string[]): number | undefined {
  const { tokens } = parseArgs({
    args: [...argv],
    options: toConfig(GLOBAL_OPTIONS),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  return tokens.find((token) => token.kind === 'positional')?.index;
}

function withoutCommand(argv: readonly string[]): Result<CommandLine, CliError> {
  if (argv.includes('--version') || argv.includes('-V')) return ok({ kind: 'version' });
  const wrong = argv.find((word) => word !== '--help' && word !== '-h' && word !== '--json');
  if (wrong !== undefined) {
    return refused(
      new CliError('arguments', `unknown option ${wrong}`, { advice: 'See: podmesh help' }),
    );
  }
  return ok({ kind: 'help', command: undefined });
}

function helpOn([topic]: readonly string[]): Result<CommandLine, CliError> {
  if (topic === undefined) return ok({ kind: 'help', command: undefined });
  return isCommandName(topic)
    ? ok({ kind: 'help', command: topic })
    : refused(unknownCommand(topic));
}

function parseWords(
  words: readonly string[],
  shape: CommandShape,
): Result<{ values: Values; positionals: readonly string[] }, CliError> {
  const options = { ...GLOBAL_OPTIONS, ...shape.options };
  try {
    const args = [...words];
    return ok(parseArgs({ args, options: toConfig(options), allowPositionals: true }));
  } catch (error) {
    return refused(wrongOption(error, options, shape));
  }
}

function toConfig(options: Readonly<Record<string, OptionShape>>): ParseArgsConfig['options'] {
  return Object.fromEntries(
    Object.entries(options).map(([name, { kind, short }]) => [
      name,
      {
        type: kind === 'flag' ? 'boolean' : 'string',
        multiple: kind === 'texts',
        ...(short === undefined ? {} : { short }),
      },
    ]),
  );
}

function unknownCommand(word: string): CliError {
  const nearest = nearestWord(word, COMMAND_NAMES);
  const meant = nearest === undefined ? '' : `Did you mean "podmesh ${nearest}"? `;
  return new CliError('arguments', `there is no command ${JSON.stringify(word)}`, {
    advice: `${meant}All commands: podmesh help`,
  });
}

function wrongOption(
  error: unknown,
  options: Readonly<Record<string, OptionShape>>,
  { name }: CommandShape,
): CliError {
  const said = error instanceof Error ? error.message : String(error);
  const unknown = /^Unknown option '(-[^']*)'/.exec(said)?.[1];
  const advice = `See: podmesh ${name} --help`;
  if (unknown === undefined) {
    const first = said.split(/\n|\. /)[0]?.replace(/\.$/, '') ?? said;
    return new CliError('arguments', first, { advice, cause: error });
  }
  const nearest = nearestWord(unknown.replace(/^-+/, ''), Object.keys(options));
  const meant = nearest === undefined ? '' : `Did you mean --${nearest}? `;
  return new CliError('arguments', `"podmesh ${name}" has no option ${unknown}`, {
    advice: `${meant}${advice}`,
    cause: error,
  });
}

function wrongCount(operands: readonly string[], shape: CommandShape): CliError {
  const extra = operands[shape.operands.length];
  const missing = shape.operands[operands.length]?.name ?? '';
  const message =
    extra === undefined
      ? `"podmesh ${shape.name}" needs ${missing}`
      : `one word too many: ${JSON.stringify(extra)}`;
  return new CliError('arguments', message, { advice: `Usage: ${usageOf(shape)}` });
}
