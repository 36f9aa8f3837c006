import { CACHE_ACTIONS } from '../arguments/cache-commands.ts';
import { type CommandShape, GLOBAL_OPTIONS } from '../arguments/command-shape.ts';
import { COMMAND_NAMES, COMMANDS, type CommandName } from '../arguments/command-table.ts';
import { SERVICE_ACTIONS } from '../arguments/unit-command.ts';

/** What can follow one command, for all shells. */
export interface CommandWords {
  readonly name: CommandName;
  readonly summary: string;
  /** Options with their dashes, and what they do. */
  readonly options: readonly OptionWord[];
  /** What stands where no option does; `files`: whatever the shell offers. */
  readonly operands: readonly string[] | 'files';
}

export interface OptionWord {
  readonly long: string;
  readonly short: string | undefined;
  readonly takesValue: boolean;
  readonly help: string;
}

/** Everything the completion scripts know, read off the command table. */
export function completionWords(): readonly CommandWords[] {
  return COMMAND_NAMES.map((name) => {
    const shape: CommandShape = COMMANDS[name];
    const options = Object.entries({ ...shape.options, ...GLOBAL_OPTIONS }).map(
      ([long, { short, kind, help }]): OptionWord => ({
        long,
        short,
        takesValue: kind !== 'flag',
        help,
      }),
    );
    return { name, summary: shape.summary, options, operands: operandWords(shape) };
  });
}

function operandWords({ operands: [operand] }: CommandShape): CommandWords['operands'] {
  switch (operand?.kind) {
    case 'file':
      return 'files';
    case 'run':
      return ['last'];
    case 'command':
      return COMMAND_NAMES;
    case 'image-action':
      return ['build', 'ls', 'tags'];
    case 'cache-action':
      return CACHE_ACTIONS;
    case 'anchor-action':
      return ['set', 'replace', 'retire'];
    case 'service-action':
      return SERVICE_ACTIONS;
    case 'shell':
      return ['bash', 'zsh', 'fish'];
    default:
      return [];
  }
}
