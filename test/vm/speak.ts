import { spawn } from 'node:child_process';
import type { Said } from '../process-kit/command-line.ts';
import { within } from '../process-kit/within.ts';

/** What a program says, given this on its standard input, however it ends. */
export function speak(words: readonly string[], input: string, limitMs: number): Promise<Said> {
  const [program = '', ...rest] = words;
  let out = '';
  let err = '';
  const said = new Promise<Said>((resolve, reject) => {
    const child = spawn(program, rest, { stdio: 'pipe' });
    child.stdout.on('data', (piece: Buffer) => {
      out += piece.toString('utf8');
    });
    child.stderr.on('data', (piece: Buffer) => {
      err += piece.toString('utf8');
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, out, err }));
    // A command that does not read its input closes it first.
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
  });
  return within(limitMs, () => `${words.join(' ')}; it said ${out}${err}`, said);
}

/** Standard output of one that had to succeed. */
export function textOf(words: readonly string[], { code, out, err }: Said): string {
  if (code !== 0) throw new Error(`${words.join(' ')} ended with ${code}: ${err}${out}`);
  return out;
}

const PROGRAM_MS = 20 * 60_000;

/** Standard output of a program that has to succeed, given this on its standard input. */
export async function tell(words: readonly string[], input = ''): Promise<string> {
  return textOf(words, await speak(words, input, PROGRAM_MS));
}
