import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(new URL('../../packages/cli/bin/podmesh', import.meta.url));

/** What one command said and how it ended. */
export interface Said {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** The real `podmesh` command as a user of one home types it. */
export class CommandLine {
  readonly #home: string;
  readonly #directory: string;
  readonly #env: Readonly<Record<string, string>>;
  readonly #under: readonly string[];

  /** `under`: what runs the command inside of something, such as `nsenter …`. */
  constructor(
    home: string,
    directory: string,
    env: Readonly<Record<string, string>> = {},
    under: readonly string[] = [],
  ) {
    this.#home = home;
    this.#directory = directory;
    this.#env = env;
    this.#under = under;
  }

  run(...words: readonly string[]): Promise<Said> {
    return this.feed('', ...words);
  }

  /** For who reads what it says as it comes. */
  start(...words: readonly string[]): ChildProcessWithoutNullStreams {
    const own = { PODMESH_HOME: this.#home, PODMESH_NATS: '' };
    const env = { ...process.env, ...own, ...this.#env };
    const all = [...this.#under, process.execPath, PROGRAM, ...words];
    const [program = '', ...rest] = all;
    return spawn(program, rest, { cwd: this.#directory, env });
  }

  /** With this text on standard input. */
  feed(input: string, ...words: readonly string[]): Promise<Said> {
    return new Promise((resolve, reject) => {
      const child = this.start(...words);
      let out = '';
      let err = '';
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
  }
}
