import type { CommandWords, OptionWord } from './completion-words.ts';

/** Completion for fish: `podmesh completion fish > ~/.config/fish/completions/podmesh.fish`. */
export function fishScript(commands: readonly CommandWords[]): string {
  return [
    '# podmesh completion for fish',
    'complete -c podmesh -f',
    ...commands.map(
      ({ name, summary }) =>
        `complete -c podmesh -n __fish_use_subcommand -a ${name} -d ${quote(summary)}`,
    ),
    ...commands.flatMap(linesOf),
    '',
  ].join('\n');
}

function linesOf({ name, options, operands }: CommandWords): readonly string[] {
  const seen = `complete -c podmesh -n '__fish_seen_subcommand_from ${name}'`;
  const rest = operands === 'files' ? '-F' : `-a ${quote(operands.join(' '))}`;
  return [
    ...options.map((option) => `${seen} ${optionWords(option)}`),
    ...(operands.length === 0 ? [] : [`${seen} ${rest}`]),
  ];
}

function optionWords({ long, short, takesValue, help }: OptionWord): string {
  const letter = short === undefined ? '' : ` -s ${short}`;
  return `-l ${long}${letter}${takesValue ? ' -r -F' : ''} -d ${quote(help)}`;
}

const quote = (text: string): string => `'${text.replaceAll("'", "\\'")}'`;
