import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { COMMAND_NAMES } from '../arguments/command-table.ts';
import { bashScript } from './bash-script.ts';
import { completionWords } from './completion-words.ts';
import { fishScript } from './fish-script.ts';
import { zshScript } from './zsh-script.ts';

/** What bash offers for the last of the words. */
function offered(...words: readonly string[]): readonly string[] {
  const list = words.map((word) => `'${word}'`).join(' ');
  const script = `${bashScript(completionWords())}
    COMP_WORDS=(${list}); COMP_CWORD=${words.length - 1}; _podmesh; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const said = execFileSync('bash', ['--norc', '-euc', script], { encoding: 'utf8', cwd: '/' });
  return said.split('\n').filter(Boolean);
}

describe('completion', () => {
  it('offers commands in bash', () => {
    expect(offered('podmesh', '')).toEqual(COMMAND_NAMES);
    expect(offered('podmesh', 'com')).toEqual(['completion']);
    expect(offered('podmesh', '--json', 'wa')).toEqual(['wait', 'wake']);
  });

  it('offers the options of the command in bash', () => {
    expect(offered('podmesh', 'run', '--d')).toEqual(['--detach']);
    expect(offered('podmesh', 'logs', 'last', '--f')).toEqual(['--follow']);
  });

  it('offers runs, shells and files in bash', () => {
    expect(offered('podmesh', 'show', '')).toEqual(['last']);
    expect(offered('podmesh', 'completion', 'z')).toEqual(['zsh']);
    expect(offered('podmesh', 'cache', 'p')).toEqual(['pin', 'prune']);
    expect(offered('podmesh', 'run', 'usr')).toEqual(['usr']);
  });

  it('describes every command and option to zsh and fish', () => {
    const words = completionWords();
    const [zsh, fish] = [zshScript(words), fishScript(words)];
    for (const { name, options } of words) {
      expect(zsh).toContain(`    ${name}) _arguments `);
      expect(fish).toContain(`-a ${name} -d`);
      for (const { long } of options) {
        expect(zsh).toContain(`'--${long}[`);
        expect(fish).toContain(`from ${name}' -l ${long}`);
      }
    }
  });

  it('quotes what the shells would read as their own', () => {
    const quoted = [
      {
        name: 'run' as const,
        summary: "it's [odd]: yes",
        options: [{ long: 'a', short: undefined, takesValue: true, help: "it's [odd]: yes" }],
        operands: [],
      },
    ];
    expect(fishScript(quoted)).toContain("-d 'it\\'s [odd]: yes'");
    expect(zshScript(quoted)).toContain("'--a[it'\\''s \\[odd\\]\\: yes]:value:_files'");
    execFileSync('bash', ['-n'], { input: bashScript(quoted) });
  });
});
