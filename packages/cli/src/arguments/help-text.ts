import { alignColumns } from '../render/align-columns.ts';
import {
  type CommandShape,
  GLOBAL_OPTIONS,
  type OptionShape,
  operandText,
  usageOf,
} from './command-shape.ts';
import { COMMANDS, type CommandName } from './command-table.ts';

const EXIT_CODES = [
  'Exit codes:',
  '  0  success',
  '  1  the run failed or was cancelled, or what was asked for could not be done',
  '  2  the document or the arguments are wrong',
  '  3  no mesh could be reached',
  '  4  the run waits for a person: its tasks are held (see podmesh explain), it is not over',
];

/** What `podmesh help` prints. */
export function overviewText(): string {
  const commands = Object.values(COMMANDS).map((shape): readonly string[] => {
    const operands = shape.operands.map(operandText).join(' ');
    return [`  ${shape.name} ${operands}`.trimEnd(), shape.summary];
  });
  return lines([
    'podmesh turns the machines people have into one computer.',
    '',
    'Usage: podmesh COMMAND [OPTION]...',
    '',
    ...alignColumns(commands),
    '',
    'Every command has --help and --json. A run is named by its id, the beginning of it, or "last".',
    'State lives in PODMESH_HOME; PODMESH_NATS names a mesh elsewhere. podmesh --version tells which this is.',
    '',
    ...EXIT_CODES,
  ]);
}

/** What `podmesh COMMAND --help` prints. */
export function helpText(command: CommandName): string {
  const shape: CommandShape = COMMANDS[command];
  const options = Object.entries({ ...shape.options, ...GLOBAL_OPTIONS }).map(optionRow);
  return lines([
    `Usage: ${usageOf(shape)}`,
    '',
    `${shape.summary.charAt(0).toUpperCase()}${shape.summary.slice(1)}.`,
    ...shape.details,
    '',
    'Options:',
    ...alignColumns(options),
    '',
    'Examples:',
    ...shape.examples.map((example) => `  ${example}`),
    '',
    ...EXIT_CODES,
  ]);
}

function optionRow([name, { short, value, help }]: [string, OptionShape]): readonly string[] {
  const letter = short === undefined ? '    ' : `-${short}, `;
  return [`  ${letter}--${name}${value === undefined ? '' : ` ${value}`}`, help];
}

const lines = (all: readonly string[]): string => `${all.join('\n')}\n`;
