import type { Invocation } from '../arguments/parse-command-line.ts';
import { CliError } from '../cli-error.ts';
import { bashScript } from '../completion/bash-script.ts';
import { completionWords } from '../completion/completion-words.ts';
import { fishScript } from '../completion/fish-script.ts';
import { zshScript } from '../completion/zsh-script.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import type { World } from '../world.ts';

const SCRIPTS = new Map([
  ['bash', bashScript],
  ['zsh', zshScript],
  ['fish', fishScript],
]);

/** `podmesh completion SHELL`: prints the script. */
export async function completion({ terminal }: World, { operands }: Invocation): Promise<ExitCode> {
  const [shell = ''] = operands;
  const script = SCRIPTS.get(shell);
  if (script === undefined) {
    throw new CliError('arguments', `no completion for ${JSON.stringify(shell)}`, {
      advice: 'There is one for bash, zsh and fish.',
    });
  }
  await terminal.out(script(completionWords()));
  return EXIT.success;
}
