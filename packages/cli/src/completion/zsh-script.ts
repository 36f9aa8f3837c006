import type { CommandWords, OptionWord } from './completion-words.ts';

/** Completion for zsh: in a file `_podmesh` on `fpath`, or `eval "$(podmesh completion zsh)"`. */
export function zshScript(commands: readonly CommandWords[]): string {
  const described = commands.map(({ name, summary }) => `    ${quote(`${name}:${summary}`)}`);
  return `#compdef podmesh
# podmesh completion for zsh
_podmesh() {
  local -a commands=(
${described.join('\n')}
  )
  if (( CURRENT == 2 )); then _describe command commands; return; fi
  local command=$words[2]
  shift words; (( CURRENT-- ))
  case $command in
${commands.map(caseOf).join('\n')}
  esac
}
if [ "$funcstack[1]" = _podmesh ]; then _podmesh "$@"; else compdef _podmesh podmesh; fi
`;
}

function caseOf({ name, options, operands }: CommandWords): string {
  const rest =
    operands === 'files' ? ["'*:file:_files'"] : [quote(`*:word:(${operands.join(' ')})`)];
  return `    ${name}) _arguments ${[...options.flatMap(optionSpecs), ...rest].join(' ')} ;;`;
}

function optionSpecs({ long, short, takesValue, help }: OptionWord): readonly string[] {
  const text = `[${help.replace(/[[\]:]/g, (letter) => `\\${letter}`)}]${takesValue ? ':value:_files' : ''}`;
  const names = [`--${long}`, ...(short === undefined ? [] : [`-${short}`])];
  return names.map((name) => quote(`${name}${text}`));
}

const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
