import { posix } from 'node:path';
import type { ClaimId } from '@podmesh/core';
import type { AttemptFiles } from './attempt-files.ts';
import { CrunUnavailableError } from './crun-errors.ts';
import { COMMAND_MS_MAX, HOLD_LOOK_S, MOUNT_OPTIONS_BYTES_MAX } from './crun-limits.ts';
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
  /** Where each chain, in a mount namespace of its own, mounts its root file system. */
  readonly merged: string;
}

export interface ChainOptions {
  readonly files: AttemptFiles;
  readonly layers: Layers;
  readonly outputFds: readonly number[];
  /** Whether crun makes a cgroup for it. */
  readonly hasCgroup: boolean;
}

/**
 * One container is a chain of processes: a shell that mounts the scratch layer in a mount namespace of
 * its own, runs crun, and writes down how it ended. It holds both ends of the streams, so it does not
 * need the daemon, which may die: then the task only waits when a pipe is full. When the chain is
 * gone, so is the mount. Here: the order for one, as fields between tabs. Throws
 * `CrunUnavailableError` for an image that only Podman can mount; nothing has to be made before it.
 */
export function chainOrder({ files, layers, outputFds, hasCgroup }: ChainOptions): string {
  const keeper = Math.max(2, ...outputFds) + 1;
  const between = Array.from({ length: keeper - 3 }, (_, i) => redirection(i + 3, outputFds));
  const streamOf = (fd: 1 | 2, fifo: string) =>
    outputFds.includes(fd) ? `scratch/fd/${fd}` : fifo;
  const fields = [
    files.directory,
    // The keeper: what the chain waits on, above all outputs.
    // First of all: who looks whether the chain has come looks for it.
    [`${keeper}<>"$d/release"`, ...HELD, ...between].join(' '),
    keeper,
    streamOf(1, 'stdout'),
    streamOf(2, 'stderr'),
    hasCgroup ? 'cgroupfs' : 'disabled',
    layers.home,
    overlayOptions(files, layers),
  ];
  if (!fields.some((field) => /[\t\n]/.test(String(field)))) return fields.join('\t');
  throw new CrunUnavailableError("a path of Podman's storage has a tab or line feed in its name");
}

/**
 * The kernel cuts off what is beyond a page without a word, and with it `userxattr` or half a path.
 * `userxattr` turns `metacopy` and `redirect_dir` off whatever the module's parameters say, and is refused
 * beside `redirect_dir=off`; only `index` is left to them. With it a scratch layer could not be mounted
 * on other layers again, nor by a second chain while the first is not quite gone.
 */
function overlayOptions({ upper, work }: AttemptFiles, { lower }: Layers): string {
  const options = `lowerdir=${lower},upperdir=${upper},workdir=${work},userxattr,index=off,uuid=off`;
  const bytes = Buffer.byteLength(options);
  if (bytes <= MOUNT_OPTIONS_BYTES_MAX) return options;
  throw new CrunUnavailableError(
    `the image has too many layers (${lower.split(':').length}) to be mounted in one go: ${bytes} bytes of options, and the kernel takes ${MOUNT_OPTIONS_BYTES_MAX}. Squash it (podman build --squash-all), or let the job run with runtime podman`,
  );
}

const HELD = ['0<>"$d/notice"', '1<>"$d/stdout"', '2<>"$d/stderr"'];

/** No gaps: crun hands on all of them, and would open files of its own in between. */
function redirection(fd: number, outputFds: readonly number[]): string {
  return outputFds.includes(fd) ? `${fd}>>"$d/scratch/fd/${fd}"` : `${fd}</dev/null`;
}

/** A claim may begin with a dash, and crun would take it for an option. */
const ID_PREFIX = 'podmesh-';

/** What crun calls the container of a claim. */
export const containerId = (claim: ClaimId): string => `${ID_PREFIX}${claim}`;

/** Removes crun's record of a container whose chain was killed, and what is left of the container. */
export async function forgetContainer(kitchen: Kitchen, id: string): Promise<void> {
  const words = [kitchen.crun, '--root', kitchen.state, 'delete', '--force', id];
  await kitchen.namespace.run(words, COMMAND_MS_MAX).catch(() => undefined);
}

/** The arguments of {@link CHAIN_SCRIPT} that all chains share, before those of an order. */
export function sharedArguments({ crun, state, merged }: Kitchen): readonly string[] {
  return [crun, state, merged].map((path) => posix.normalize(path));
}

/**
 * Only builtins and applets besides crun: each further program would cost as much as the mount. The
 * exit is a file, for a daemon to come, and a word to the one that is there; it is complete when its
 * last line is. crun's record is there after crun only when somebody killed crun: then the container
 * goes, too. A directory that is gone was given up: nobody would ever tell this chain to end, so it looks.
 */
// biome-ignore-start lint/suspicious/noTemplateCurlyInString: the shell expands them
export const CHAIN_SCRIPT = [
  'crun=$1; state=$2; merged=$3; d=$4; k=$5; out=$6; err=$7; manager=$8; home=$9',
  `options=\${10}; id=${ID_PREFIX}\${d##*/}; code=125`,
  'crun() {',
  '"$crun" --root "$state" --cgroup-manager="$manager" --log "$d/crun.log" --log-format json "$@"',
  '}',
  'cook() {',
  'crun run --preserve-fds=$((k-3)) --pid-file "$d/notice" --bundle "$d" "$id" \\',
  '</dev/null >>"$d/$out" 2>>"$d/$err"',
  '}',
  `hold() { while [ -d "$d" ] && ! read -r -t ${HOLD_LOOK_S} _; do :; done; }`,
  'if cd "$home" && mount -t overlay overlay -o "$options" "$merged" 2>"$d/crun.log"; then',
  'eval "cook $k>&-"; code=$?',
  '[ ! -e "$state/$id" ] || crun delete --force "$id" </dev/null >/dev/null 2>&1',
  'fi',
  '[ -d "$d" ] || exit',
  '{ echo "$code"; times; echo end; } >"$d/exit"',
  'printf \'\\n%s.\' "$code" >&0',
  'eval "hold <&$k"',
].join('\n');
// biome-ignore-end lint/suspicious/noTemplateCurlyInString: the shell expands them
