import type { CommandWords } from './completion-words.ts';

/** Completion for bash: `eval "$(podmesh completion bash)"`. */
export function bashScript(commands: readonly CommandWords[]): string {
  const names = commands.map(({ name }) => name).join(' ');
  return `# podmesh completion for bash
_podmesh() {
  local current=\${COMP_WORDS[COMP_CWORD]} command= word options= operands=
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case $word in -*) ;; *) command=$word; break ;; esac
  done
  case $command in
${commands.map(caseOf).join('\n')}
    *) operands=${quote(names)}; options='--help --version --json --nats' ;;
  esac
  case $current in
    -*) COMPREPLY=($(compgen -W "$options" -- "$current")) ;;
    *) if [ "$operands" = ':files' ]; then COMPREPLY=($(compgen -f -- "$current"))
       else COMPREPLY=($(compgen -W "$operands" -- "$current")); fi ;;
  esac
}
complete -o filenames -F _podmesh podmesh
`;
}

function caseOf({ name, options, operands }: CommandWords): string {
  const words = options.map(({ long }) => `--${long}`).join(' ');
  const plain = operands === 'files' ? ':files' : operands.join(' ');
  return `    ${name}) options=${quote(words)}; operands=${quote(plain)} ;;`;
}

const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
