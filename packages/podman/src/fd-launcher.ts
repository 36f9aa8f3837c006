import { createReadStream } from 'node:fs';
import { chmod, mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { ContainerSpec, OutputEntry, OutputProblem, OutputRef, Result } from '@podmesh/core';
import { ok, refused } from '@podmesh/core';
import { LAUNCH_POLL_MS } from './podman-limits.ts';

/** Where the launcher and the files behind the `fd` outputs appear inside. Busybox goes by its file's name. */
export const LAUNCHER_PATH = '/run/podmesh/busybox';
export const FD_DIRECTORY = '/run/podmesh/fd';
/** Where the launcher finds the values of secret variables. */
export const ENV_DIRECTORY = '/run/podmesh/env';

/** The launcher's last word before it becomes the command. */
const MARKER = 'launched';

/**
 * Podman's API cannot hand descriptors to a container, and keeps all variables on its disk. A task with `fd` outputs,
 * or with secret variables, is started by a static
 * shell instead, mounted from the host: it opens files of the attempt's scratch directory as those
 * descriptors and becomes the command. So the bytes go to disk without passing through Podman or
 * this process: clean, fast, and not lost when the daemon is killed.
 */
export interface FdLaunch {
  /** Host directory that is mounted at {@link FD_DIRECTORY}. */
  readonly directory: string;
  readonly argv: readonly string[];
}

/** The descriptors among the outputs, normalised, each once, in order. */
export function outputFds(outputs: Readonly<Record<string, OutputRef>>): readonly number[] {
  const fds = Object.values(outputs).flatMap((output) => (output.kind === 'fd' ? [output.fd] : []));
  return [...new Set(fds.map(fileOf))].sort((a, b) => a - b);
}

/** The host file behind a descriptor, below the directory of {@link FdLaunch}. */
export function fdFile(directory: string, fd: number): string {
  return join(directory, String(fileOf(fd)));
}

/** What was written to a descriptor, from its file on the host. */
export async function readFdFile(
  directory: string | undefined,
  fd: number,
): Promise<Result<AsyncIterable<OutputEntry>, OutputProblem>> {
  const file = fdFile(directory ?? '', fd);
  const isThere =
    directory !== undefined && (await stat(file).catch(() => undefined))?.isFile() === true;
  if (isThere) return ok(oneFile(file));
  const message = `descriptor ${fd} was not among the outputs this container was started with`;
  return refused({ kind: 'missing', message });
}

async function* oneFile(file: string): AsyncIterable<OutputEntry> {
  yield { kind: 'file', path: '', executable: false, content: createReadStream(file) };
}

/** Makes the files and the command line. Anybody inside may write them: an image may have its own user. */
export async function prepareFdLaunch(
  scratchDir: string,
  fds: readonly number[],
  command: readonly string[],
  { env, secretEnv = {} }: Pick<ContainerSpec, 'env' | 'secretEnv'>,
): Promise<FdLaunch> {
  const directory = join(scratchDir, 'fd');
  await mkdir(directory, { recursive: true });
  await chmod(directory, 0o755);
  for (const name of [MARKER, ...fds.map(String)]) {
    const file = join(directory, name);
    await writeFile(file, '');
    await chmod(file, 0o666);
  }
  const words = script(fds, env, Object.keys(secretEnv));
  return { directory, argv: [LAUNCHER_PATH, 'sh', '-c', words, 'podmesh', ...command] };
}

/** Resolves when the launcher became the command, found no such program, or ended before either. */
export async function awaitLaunch(
  directory: string,
  ended: Promise<unknown>,
  signal: AbortSignal,
): Promise<'started' | 'missing' | 'ended'> {
  let over = false;
  const note = () => {
    over = true;
  };
  ended.then(note, note);
  for (;;) {
    // Read after looking: what was written before the end must still be seen.
    const last = over;
    const said = (await readFile(join(directory, MARKER), 'utf8')).trim();
    if (said === 'started' || said === 'missing') return said;
    if (last) return 'ended';
    await pause(LAUNCH_POLL_MS, undefined, { signal });
  }
}

function fileOf(fd: number): number {
  return fd === 0 ? 1 : fd;
}

/**
 * `exec NAME` would run the shell's own applet of that name instead of the image's program, so the
 * PATH is searched here, and `-a` keeps the name the caller wrote. Files are opened to append, like
 * a pipe: a program that opens /dev/stdout again does not overwrite what others wrote.
 */
function script(
  fds: readonly number[],
  env: Readonly<Record<string, string>>,
  secrets: readonly string[],
): string {
  return [
    'set -f; n=$1; p=$n',
    'case $n in */*) ;; *) p=; IFS=:',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell expands it
    'for d in $PATH; do f=${d:-.}/$n',
    'if [ -f "$f" ] && [ -x "$f" ]; then p=$f; break; fi; done; unset IFS;; esac',
    `if [ ! -f "$p" ] || [ ! -x "$p" ]; then echo missing >>${FD_DIRECTORY}/${MARKER}; exit 127; fi`,
    // The shell's own additions to the environment.
    'shift; unset SHLVL PWD OLDPWD',
    `exec ${redirections(fds)}`,
    ...secrets.map(exportSecret),
    `echo started >>${FD_DIRECTORY}/${MARKER}`,
    becomeCommand(env),
  ].join('\n');
}

/** The letter behind it keeps a substitution from dropping line ends of the value. */
function exportSecret(name: string): string {
  const read = `$(${LAUNCHER_PATH} cat ${ENV_DIRECTORY}/${name}; echo x)`;
  return `v="${read}"; export ${name}="\${v%x}"; unset v`;
}

function redirections(fds: readonly number[]): string {
  return fds.map((fd) => `${fd}>>${FD_DIRECTORY}/${fd}`).join(' ');
}

/** A shell drops variables whose names it could not use itself; `env` hands them on. */
function becomeCommand(env: Readonly<Record<string, string>>): string {
  const odd = Object.entries(env).filter(([name]) => !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name));
  if (odd.length === 0) return 'exec -a "$n" "$p" "$@"';
  const words = odd.map(([name, value]) => `'${`${name}=${value}`.replaceAll("'", "'\\''")}'`);
  return `exec ${LAUNCHER_PATH} env ${words.join(' ')} "$p" "$@"`;
}
