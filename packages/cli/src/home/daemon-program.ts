import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import type { Home } from './home.ts';

/** One line of standard output tells that the daemon is up. */
export interface DaemonReady {
  readonly peer: string;
  /** With its token. */
  readonly nats: string;
  /** Where images are pushed to, `localhost:PORT`; absent where they are not served. */
  readonly registry?: string;
}

/** One check of `doctor`. */
export interface Finding {
  readonly check: string;
  readonly ok: boolean;
  /** False: a peer works without it, only less well. */
  readonly required: boolean;
  readonly found: string;
  /** What to do, when it is not in order. */
  readonly repair?: string;
}

/** A mesh of the local network that tells of itself; nothing of it is proven. */
export interface FoundMesh {
  readonly mesh: string;
  readonly peer: string;
  /** `host:port` each. */
  readonly servers: readonly string[];
}

/** The daemon as a program to start; its code is never loaded into this process. */
export interface DaemonProgram {
  /** Runs it until it ends, with our terminal and our signals; its exit code. */
  runInForeground(
    words: readonly string[],
    onReady: (ready: DaemonReady) => void,
  ): Promise<ExitCode>;
  /** Starts it detached from this process; resolves when it is up. Throws a `CliError`. */
  startInBackground(words: readonly string[]): Promise<DaemonReady>;
  /** What it has to say about this machine. */
  examine(): Promise<readonly Finding[]>;
  /** Meshes that tell of themselves on the local network within the time. */
  discover(waitMs: number): Promise<readonly FoundMesh[]>;
}

/** Seconds as a rule, two minutes on an old computer with a slow disk; more than this is a hang. */
const READY_MS = 300_000;
const LINES_SHOWN = 5;
/** Signals that end a daemon, and their exit codes as shells have them. */
const SIGNALS = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

/** The program in `@podmesh/daemon`, run by the Node that runs us. */
export class InstalledDaemon implements DaemonProgram {
  readonly #home: Home;
  readonly #path: () => string;

  /** `path`: the program, looked for when it is needed; throws a `CliError` when it is not there. */
  constructor(home: Home, path: () => string = daemonPath) {
    this.#home = home;
    this.#path = path;
  }

  async runInForeground(
    words: readonly string[],
    onReady: (ready: DaemonReady) => void,
  ): Promise<ExitCode> {
    const child = spawn(process.execPath, this.#command(words), {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const names = Object.keys(SIGNALS) as (keyof typeof SIGNALS)[];
    const pass = (signal: NodeJS.Signals): void => void child.kill(signal);
    for (const name of names) process.on(name, pass);
    const ended = ending(child, 'exit');
    const ready = await readyLine(child);
    if (ready !== undefined) onReady(ready);
    child.stdout.resume();
    const { code, signal } = await ended;
    for (const name of names) process.off(name, pass);
    if (signal === null) return code ?? EXIT.failed;
    return Object.hasOwn(SIGNALS, signal) ? SIGNALS[signal as keyof typeof SIGNALS] : EXIT.failed;
  }

  async startInBackground(words: readonly string[]): Promise<DaemonReady> {
    await this.#home.prepare();
    // A file, because a pipe would break, and the daemon with it, when we are gone.
    const said = await open(this.#home.at('daemon.out'), 'w', 0o600);
    const child = spawn(process.execPath, this.#command(words), {
      detached: true,
      stdio: ['ignore', 'pipe', said.fd],
    });
    await said.close();
    const ready = await readyInTime(child);
    child.stdout?.destroy();
    child.unref();
    if (ready === 'late') throw this.#lateStart(child);
    if (ready === 'ended') throw await this.#failedStart();
    return ready;
  }

  async examine(): Promise<readonly Finding[]> {
    const told = await this.#ask('doctor', []);
    if (told === undefined)
      throw new CliError('daemon', 'the daemon could not examine this machine');
    return told as readonly Finding[];
  }

  async discover(waitMs: number): Promise<readonly FoundMesh[]> {
    const told = await this.#ask('discover', ['--wait-ms', String(waitMs)]);
    if (told === undefined)
      throw new CliError('daemon', 'could not look for meshes on the network');
    return told as readonly FoundMesh[];
  }

  /** The JSON that it prints; undefined where that is none, or it failed: it has said why. */
  async #ask(verb: 'doctor' | 'discover', words: readonly string[]): Promise<unknown> {
    const child = spawn(process.execPath, this.#command(words, verb), {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const pieces: Buffer[] = [];
    child.stdout.on('data', (piece: Buffer) => pieces.push(piece));
    const { code } = await ending(child, 'close');
    try {
      return code === 0 ? JSON.parse(Buffer.concat(pieces).toString('utf8')) : undefined;
    } catch {
      return undefined;
    }
  }

  #command(words: readonly string[], verb?: 'doctor' | 'discover'): string[] {
    const command = [this.#path(), ...(verb === undefined ? [] : [verb])];
    return [...command, '--home', this.#home.path, ...words];
  }

  #lateStart(child: ChildProcess): CliError {
    child.kill('SIGTERM');
    return new CliError('daemon', `the daemon was not ready after ${READY_MS / 1_000} s`, {
      advice: `Its log: ${this.#home.at('daemon.log')}. Check the machine with: podmesh doctor`,
    });
  }

  async #failedStart(): Promise<CliError> {
    const said = await readFile(this.#home.at('daemon.out'), 'utf8').catch(() => '');
    const end = said.trim().split('\n').slice(-LINES_SHOWN).join('\n');
    return new CliError('daemon', `the daemon did not start:\n${end}`, {
      advice: 'Check the machine with: podmesh doctor',
    });
  }
}

/** Throws a `CliError` in a checkout that was not built. */
export function daemonPath(): string {
  const path = fileURLToPath(import.meta.resolve('@podmesh/daemon/main'));
  if (existsSync(path)) return path;
  throw new CliError('daemon', `the daemon is not built: there is no ${path}`, {
    advice: 'Run "npm run build" in this checkout.',
  });
}

/** The first line that says `ready`; undefined when standard output ends without one. */
async function readyLine(child: ChildProcess): Promise<DaemonReady | undefined> {
  if (child.stdout === null) return undefined;
  for await (const line of createInterface({ input: child.stdout })) {
    try {
      const said = JSON.parse(line) as Partial<DaemonReady & { ready: boolean }>;
      if (said.ready === true) return toReady(said);
    } catch {
      // Not for us.
    }
  }
  return undefined;
}

function toReady({ peer, nats, registry }: Partial<DaemonReady>): DaemonReady {
  const told = typeof registry === 'string' ? { registry } : {};
  return { peer: String(peer), nats: String(nats), ...told };
}

/** `close` also waits until all output was read; `exit` does not. */
function ending(
  child: ChildProcess,
  event: 'exit' | 'close',
): Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once(event, (code: number | null, signal: NodeJS.Signals | null) =>
      resolve({ code, signal }),
    );
  });
}

async function readyInTime(child: ChildProcess): Promise<DaemonReady | 'ended' | 'late'> {
  const ended = ending(child, 'exit');
  const settled = new AbortController();
  const ready = async (): Promise<DaemonReady | 'ended'> => {
    const line = await readyLine(child);
    if (line === undefined) await ended;
    return line ?? 'ended';
  };
  const late = pause(READY_MS, 'late' as const, { signal: settled.signal });
  late.catch(() => undefined);
  try {
    return await Promise.race([ready(), late]);
  } finally {
    settled.abort();
  }
}
