import { constants } from 'node:fs';
import { chmod, type FileHandle, mkdir, open, rm } from 'node:fs/promises';
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
/** Of what the launcher says there. */
const MARKER_BYTES_MAX = 16;

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
  const path = fdFile(directory ?? '', fd);
  const file = directory === undefined ? undefined : await openOwn(path);
  await file?.close();
  if (file !== undefined) return ok(oneFile(path));
  const message = `descriptor ${fd} was not among the outputs this container was started with`;
  return refused({ kind: 'missing', message });
}

async function* oneFile(path: string): AsyncIterable<OutputEntry> {
  const file = await openOwn(path);
  if (file === undefined) throw new Error(`${path} is no file any more`);
  try {
    const content = file.createReadStream({ autoClose: false });
    yield { kind: 'file', path: '', executable: false, content };
  } finally {
    await file.close();
  }
}

/**
 * The task has the directory to write in, and may have put anything in the place of our files: a link would lead to
 * what this user has on this machine, a FIFO would hold us up. Undefined: it is no file any more.
 */
async function openOwn(path: string): Promise<FileHandle | undefined> {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
  const file = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK).catch(() => undefined);
  if (file === undefined || (await file.stat()).isFile()) return file;
  await file.close();
  return undefined;
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
    await makeFile(join(directory, name));
  }
  const words = script(fds, env, Object.keys(secretEnv));
  return { directory, argv: [LAUNCHER_PATH, 'sh', '-c', words, 'podmesh', ...command] };
}

/** Never through a link: an earlier start of the same attempt may have had the directory. */
async function makeFile(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true });
  const file = await open(path, 'wx');
  try {
    await file.chmod(0o666);
  } finally {
    await file.close();
  }
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
    const said = await readMarker(join(directory, MARKER));
    if (said === 'started' || said === 'missing') return said;
    if (last) return 'ended';
    await pause(LAUNCH_POLL_MS, undefined, { signal });
  }
}

/** Only the command could have put something else there, which is then at work. */
async function readMarker(path: string): Promise<string> {
  const file = await openOwn(path);
  if (file === undefined) return 'started';
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(MARKER_BYTES_MAX));
    return buffer.subarray(0, bytesRead).toString('latin1').trim();
  } finally {
    await file.close();
  }
}

function fileOf(fd: number): number {
  return fd === 0 ? 1 : fd;
}

/**
 * `exec NAME` would run the shell's own applet of that name instead of the image's program, so the
 * PATH is searched here, and `-a` keeps the name the caller wrote. Files are opened to append, like
 * a pipe: a program that opens /dev/stdout again does not overwrite what others wrote. No variable of a task begins
 * with PODMESH_ but ours: any other name could be one of the task's, which would be lost, or be run as a program.
 */
function script(
  fds: readonly number[],
  env: Readonly<Record<string, string>>,
  secrets: readonly string[],
): string {
  return [
    'set -f; PODMESH_n=$1; PODMESH_p=$PODMESH_n',
    'case $PODMESH_n in */*) ;; *) PODMESH_p=; IFS=:',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell expands it
    'for PODMESH_d in $PATH; do PODMESH_f=${PODMESH_d:-.}/$PODMESH_n',
    'if [ -f "$PODMESH_f" ] && [ -x "$PODMESH_f" ]; then PODMESH_p=$PODMESH_f; break; fi; done; unset IFS;; esac',
    `if [ ! -f "$PODMESH_p" ] || [ ! -x "$PODMESH_p" ]; then echo missing >>${FD_DIRECTORY}/${MARKER}; exit 127; fi`,
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
  return `PODMESH_v="${read}"; export ${name}="\${PODMESH_v%x}"`;
}

function redirections(fds: readonly number[]): string {
  return fds.map((fd) => `${fd}>>${FD_DIRECTORY}/${fd}`).join(' ');
}

/** A shell drops variables whose names it could not use itself; `env` hands them on. */
function becomeCommand(env: Readonly<Record<string, string>>): string {
  const odd = Object.entries(env).filter(([name]) => !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name));
  if (odd.length === 0) return 'exec -a "$PODMESH_n" "$PODMESH_p" "$@"';
  const words = odd.map(([name, value]) => `'${`${name}=${value}`.replaceAll("'", "'\\''")}'`);
  return `exec ${LAUNCHER_PATH} env ${words.join(' ')} "$PODMESH_p" "$@"`;
}
