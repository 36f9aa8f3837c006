import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { untilSeen } from './within.ts';

const PROGRAM = fileURLToPath(new URL('../../packages/cli/bin/podmesh', import.meta.url));
/** The code of a command that nobody answered: leaders are being elected, and nothing was begun. */
const NOBODY = 3;
const ANSWERED_MS = 240_000;
const TYPED_AGAIN_MS = 500;

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

  /** As whoever types the same again for as long as nobody answers. */
  async untilAnswered(...words: readonly string[]): Promise<Said> {
    let said = await this.run(...words);
    const isAnswered = async (): Promise<boolean> => {
      if (said.code === NOBODY) said = await this.run(...words);
      return said.code !== NOBODY;
    };
    const what = () => `an answer to podmesh ${words.join(' ')}; it says ${said.out}${said.err}`;
    await untilSeen(ANSWERED_MS, what, isAnswered, TYPED_AGAIN_MS);
    return said;
  }

  /** What a command answers that has to go well; throws with all that it said when it does not. */
  async well(...words: readonly string[]): Promise<string> {
    const { code, out, err } = await this.untilAnswered(...words);
    if (code === 0) return out;
    throw new Error(`podmesh ${words.join(' ')} ended with ${code}: ${out}${err}`);
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
