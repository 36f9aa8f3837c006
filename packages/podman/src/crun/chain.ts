import { spawn } from 'node:child_process';
import type { AttemptFiles } from './attempt-files.ts';
import { closeAll } from './attempt-files.ts';
import { COMMAND_MS_MAX } from './crun-limits.ts';
import { holdFifo } from './fifo.ts';
import type { Layers } from './recipe.ts';
import type { UserNamespace } from './user-namespace.ts';

/** The programs and places that all chains of a runtime share. */
export interface Kitchen {
  readonly namespace: UserNamespace;
  readonly busybox: string;
  readonly tar: string;
  readonly crun: string;
  /** crun's own records of containers, by id. */
  readonly state: string;
  /** A layer with what is needed to read outputs. */
  readonly tools: string;
}

export interface ChainOptions {
  readonly files: AttemptFiles;
  readonly id: string;
  readonly layers: Layers;
  readonly outputFds: readonly number[];
  /** Whether crun makes a cgroup for it. */
  readonly hasCgroup: boolean;
}

/**
 * Starts the processes that are one container: a shell that mounts the scratch layer in a mount
 * namespace of its own, runs crun, and writes down how it ended. They have a session of their own and
 * hold both ends of the streams, so neither needs the daemon: it may die, and the task only waits when
 * a pipe is full. When they are gone, so is the mount. Rejects when not even the first could be run.
 */
export function startChain(kitchen: Kitchen, options: ChainOptions): Promise<void> {
  const { files, outputFds } = options;
  const held = [files.notice, files.stdout, files.stderr].map(holdFifo);
  const outputs = files.openOutputs(outputFds);
  const keeper = keeperOf(outputFds);
  const stdio: (number | 'ignore')[] = [...held];
  for (const [fd, file] of outputs) if (fd > 2) put(stdio, fd, file);
  const release = holdFifo(files.release);
  put(stdio, keeper, release);
  const [command, ...args] = kitchen.namespace.words([
    kitchen.busybox,
    ...['sh', '-c', script(options, keeper), 'podmesh-chain'],
    ...[options.layers.home, mountOptions(options), files.directory],
    ...[kitchen.crun, kitchen.state, options.id],
    ...[streamOf(files, outputFds, 1), streamOf(files, outputFds, 2)],
  ]);
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      detached: true,
      stdio,
      cwd: '/',
      env: kitchen.namespace.env,
    });
    child.on('error', reject);
    child.on('spawn', () => resolve());
    child.unref();
    closeAll([...held, ...outputs.values(), release]);
  });
}

/** Removes crun's record of a container whose chain was killed, and what is left of the container. */
export async function forgetContainer(kitchen: Kitchen, id: string): Promise<void> {
  const words = [kitchen.crun, '--root', kitchen.state, 'delete', '--force', id];
  await kitchen.namespace.run(words, COMMAND_MS_MAX).catch(() => undefined);
}

/** A descriptor of the chain's own, that no output has. */
function keeperOf(outputFds: readonly number[]): number {
  let keeper = 3;
  while (outputFds.includes(keeper)) keeper += 1;
  return keeper;
}

function put(stdio: (number | 'ignore')[], at: number, fd: number): void {
  while (stdio.length < at) stdio.push('ignore');
  stdio[at] = fd;
}

function streamOf(files: AttemptFiles, outputFds: readonly number[], fd: 1 | 2): string {
  if (outputFds.includes(fd)) return files.outputFile(fd);
  return fd === 1 ? files.stdout : files.stderr;
}

function mountOptions({ files, layers }: ChainOptions): string {
  return `lowerdir=${layers.lower},upperdir=${files.upper},workdir=${files.work},userxattr`;
}

/**
 * Only builtins and applets besides crun: each further program would cost as much as the mount. The
 * exit is a file, for a daemon to come, and a word to the one that is there; it is complete when its last
 * line is. crun's record is there after crun only when somebody killed crun: then the container goes, too.
 */
function script({ outputFds, hasCgroup }: ChainOptions, keeper: number): string {
  const last = Math.max(2, ...outputFds);
  const preserve = last > 2 ? ` --preserve-fds=${last - 2}` : '';
  const manager = hasCgroup ? 'cgroupfs' : 'disabled';
  const crun = `"$4" --root "$5" --cgroup-manager=${manager} --log "$3/crun.log" --log-format json`;
  return [
    'd=$3; code=125',
    'if cd "$1" && mount -t overlay overlay -o "$2" "$d/merged" 2>"$d/crun.log"; then',
    `${crun} run${preserve} --pid-file "$d/notice" --bundle "$d" "$6" \\`,
    `</dev/null >>"$7" 2>>"$8" ${keeper}>&-`,
    'code=$?',
    `[ ! -e "$5/$6" ] || ${crun} delete --force "$6" </dev/null >/dev/null 2>&1`,
    'fi',
    '{ echo "$code"; times; echo end; } >"$d/exit"',
    'printf \'\\n%s.\' "$code" >&0',
    `read -r _ <&${keeper}`,
  ].join('\n');
}
