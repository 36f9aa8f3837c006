import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { CliError } from '../cli-error.ts';
import { daemonPath } from './daemon-program.ts';
import type { Home } from './home.ts';

export interface BuildOrder {
  /** Absolute. */
  readonly directory: string;
  readonly tag: string;
  /** Absolute; absent: the Containerfile in the directory. */
  readonly file?: string;
}

export interface BuiltImage {
  readonly image: string;
  /** The whole name, with tag. */
  readonly name: string;
}

/** What a reference means on this machine. */
export type LocalMeaning =
  | {
      readonly kind: 'resolved';
      readonly reference: string;
      readonly image: string;
      readonly arch: string;
    }
  | { readonly kind: 'unresolved'; readonly reference: string; readonly message: string };

/** The images of this machine, by the daemon program: no daemon has to run, and none is disturbed. */
export interface ImageProgram {
  /** What the build says goes to our standard error. Throws a `CliError` when no image came of it. */
  build(order: BuildOrder): Promise<BuiltImage>;
  /** Image id → references. Throws a `CliError`, like `resolve`. */
  list(): Promise<Readonly<Record<string, readonly string[]>>>;
  /** `pull` is told how far pulls are; false: looks only into Podman's store. */
  resolve(
    references: readonly string[],
    pull: false | ((line: string) => void),
  ): Promise<readonly LocalMeaning[]>;
}

/** References of one call, so that the words of a command never get too long. */
const REFERENCES_MAX = 200;
/** Of what the program says on standard error, in the message of a failure. */
const SAID_MAX = 2_000;

/** The program in `@podmesh/daemon`, run by the Node that runs us. */
export class InstalledImages implements ImageProgram {
  readonly #home: Home;
  readonly #path: () => string;

  constructor(home: Home, path: () => string = daemonPath) {
    this.#home = home;
    this.#path = path;
  }

  async build({ directory, tag, file }: BuildOrder): Promise<BuiltImage> {
    const built: BuiltImage[] = [];
    const words = [
      'build',
      directory,
      '--tag',
      tag,
      ...(file === undefined ? [] : ['--file', file]),
    ];
    await this.#run(words, 'inherit', (line) => {
      if (line.kind === 'built') built.push({ image: String(line.image), name: String(line.name) });
    });
    const [first] = built;
    if (first === undefined) throw failed('the daemon program did not tell which image it built');
    return first;
  }

  async list(): Promise<Readonly<Record<string, readonly string[]>>> {
    const images: Record<string, readonly string[]> = {};
    await this.#run(['ls'], 'pipe', ({ kind, image, references }) => {
      if (kind === 'image') images[String(image)] = references as readonly string[];
    });
    return images;
  }

  async resolve(
    references: readonly string[],
    pull: false | ((line: string) => void),
  ): Promise<readonly LocalMeaning[]> {
    const meanings: LocalMeaning[] = [];
    for (let from = 0; from < references.length; from += REFERENCES_MAX) {
      const some = references.slice(from, from + REFERENCES_MAX);
      const words = ['resolve', ...(pull === false ? [] : ['--pull']), '--', ...some];
      await this.#run(words, 'pipe', (line) => {
        if (line.kind === 'progress' && pull !== false) pull(String(line.line));
        if (line.kind === 'resolved' || line.kind === 'unresolved') {
          meanings.push(line as LocalMeaning & ToldLine);
        }
      });
    }
    return meanings;
  }

  /** Runs `podmesh-daemon image …` to its end. */
  async #run(
    words: readonly string[],
    stderr: 'inherit' | 'pipe',
    hear: (line: ToldLine) => void,
  ): Promise<void> {
    // Whoever got as far as this as root has insisted on it.
    const asRoot = process.getuid?.() === 0 ? ['--allow-root'] : [];
    const own = ['image', '--home', this.#home.path, ...asRoot];
    const child = spawn(process.execPath, [this.#path(), ...own, ...words], {
      stdio: ['ignore', 'pipe', stderr],
    });
    let said = '';
    child.stderr?.on('data', (piece: Buffer) => {
      said = `${said}${piece.toString('utf8')}`.slice(-SAID_MAX);
    });
    const ended = new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    if (child.stdout !== null) {
      for await (const line of createInterface({ input: child.stdout })) hear(readLine(line));
    }
    const code = await ended;
    if (code === 0) return;
    if (stderr === 'inherit') throw failed('no image was built; what the build said is above');
    throw failed(said.trim().replace(/^podmesh: /, '') || `podmesh image ${words[0]} failed`);
  }
}

/** One line of standard output; what else it carries depends on the kind. */
interface ToldLine {
  readonly kind?: unknown;
  readonly [member: string]: unknown;
}

function readLine(line: string): ToldLine {
  try {
    return Object(JSON.parse(line)) as ToldLine;
  } catch {
    return {};
  }
}

function failed(message: string): CliError {
  return new CliError('daemon', message, { advice: 'Check the machine with: podmesh doctor' });
}
