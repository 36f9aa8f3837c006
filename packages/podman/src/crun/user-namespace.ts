import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { close, open } from 'node:fs';
import { promisify } from 'node:util';
import type { Env } from '../find-socket.ts';
import { CrunFailedError, CrunUnavailableError } from './crun-errors.ts';
import { COMMAND_MS_MAX, NAMESPACE_MS_MAX } from './crun-limits.ts';

const openFile = promisify(open);
const closeFile = promisify(close);
const execute = promisify(execFile);

/** Paths that mount options and shell words take as they are. */
const PLAIN_PATH = /^[\w./@+=~ -]+$/;

/**
 * Podman's user namespace, entered by any number of short processes. A descriptor holds it, so no
 * process has to: there is no helper that could die, and nothing that could outlive the daemon. Its
 * owner may signal and inspect every process in it from outside; only files of subordinate ids and
 * mounts need a process inside.
 */
export class UserNamespace {
  readonly #fd: number;
  readonly #env: Env;

  private constructor(fd: number, env: Env) {
    this.#fd = fd;
    this.#env = env;
  }

  /** Throws `CrunUnavailableError` with Podman's words. */
  static async open(env: Env): Promise<UserNamespace> {
    const holder = spawn('podman', ['unshare', 'sh', '-c', 'echo $$; read _'], {
      env: { ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
      timeout: NAMESPACE_MS_MAX,
      killSignal: 'SIGKILL',
    });
    let words = '';
    holder.stderr.on('data', (chunk: Buffer) => {
      words = (words + chunk.toString()).slice(-2_000);
    });
    try {
      const pid = await firstLine(holder);
      return new UserNamespace(await openFile(`/proc/${pid}/ns/user`, 'r'), env);
    } catch (error) {
      const reason = words.trim() || (error instanceof Error ? error.message : String(error));
      throw new CrunUnavailableError(`podman unshare does not work: ${reason}`, error);
    } finally {
      holder.stdin.on('error', () => undefined);
      holder.stdin.end('\n');
    }
  }

  /** The words that run a command inside, with all capabilities there and a mount namespace of its own. */
  words(argv: readonly string[]): readonly [string, ...string[]] {
    const namespace = `--user=/proc/${process.pid}/fd/${this.#fd}`;
    const mounts = ['unshare', '--mount', '--propagation', 'slave', '--'];
    return ['nsenter', namespace, '--preserve-credentials', '--', ...mounts, ...argv];
  }

  /** Nothing of the daemon's own environment is a container's or a helper's business. */
  get env(): Record<string, string> {
    return { PATH: this.#env.PATH ?? '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' };
  }

  /** Standard output of a command inside. */
  async run(argv: readonly string[], deadlineMs = COMMAND_MS_MAX): Promise<string> {
    const [command, ...args] = this.words(argv);
    try {
      const options = { env: this.env, timeout: deadlineMs, killSignal: 'SIGKILL' } as const;
      return (await execute(command, args, options)).stdout;
    } catch (error) {
      const words = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : '';
      throw new CrunFailedError(`run ${argv[0]} in the namespace`, words || String(error), error);
    }
  }

  async close(): Promise<void> {
    await closeFile(this.#fd).catch(() => undefined);
  }
}

/** Whether a path may stand in mount options. */
export const isPlainPath = (path: string): boolean => PLAIN_PATH.test(path);

async function firstLine(holder: ReturnType<typeof spawn>): Promise<number> {
  const ended = once(holder, 'close').then(() => {
    throw new Error('it ended without a word');
  });
  ended.catch(() => undefined);
  const stdout = holder.stdout;
  if (stdout === null) throw new Error('no pipe');
  const [chunk] = (await Promise.race([once(stdout, 'data'), ended])) as [Buffer];
  const pid = Number(chunk.toString().trim());
  if (!Number.isSafeInteger(pid) || pid <= 0) throw new Error(`it said ${chunk.toString()}`);
  return pid;
}
