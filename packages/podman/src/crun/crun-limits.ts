/** Every bound of the fast lane in one place, unit last. */

/** Entering Podman's user namespace once: Podman's own start, on a slow disk. */
export const NAMESPACE_MS_MAX = 30_000;
/** From spawning a container's chain to its command running; slow only while the disk is. */
export const START_MS_MAX = 60_000;
/** From SIGKILL to the end of a container and its chain: the kernel frees its memory and files meanwhile. */
export const KILL_MS_MAX = 60_000;
/** Between two looks at a container that is found in the middle of its start. */
export const KILL_POLL_MS = 20;
/** One small command inside the namespace. */
export const COMMAND_MS_MAX = 30_000;
/** Deleting what removed containers left, however much. */
export const SWEEP_MS_MAX = 30 * 60 * 1_000;
/** Between two sweeps: removed containers are deleted many at a time, by one process. */
export const SWEEP_PAUSE_MS = 2_000;
/** FIFOs made at a time: one process for many containers. */
export const FIFO_BATCH = 512;
/** Below so many, more are made. */
export const FIFO_LOW = 64;
/** Files of Podman's own that a recipe copies, such as /etc/hosts. */
export const RECIPE_FILE_BYTES_MAX = 64 * 1024;
/** A compiled seccomp filter: the kernel takes at most 4,096 instructions of 8 bytes. */
export const SECCOMP_BYTES_MAX = 4_096 * 8;
/** Recipes that are remembered, and images that are kept for them. */
export const RECIPES_MAX = 64;
/** A recipe whose image nobody ran for this long is forgotten, so that the image may be removed. */
export const RECIPE_IDLE_MS_MAX = 10 * 60 * 1_000;
/** The kernel takes a page of mount options, with its NUL, and cuts off the rest without a word. */
export const MOUNT_OPTIONS_BYTES_MAX = 4_095;
/** The highest descriptor that an output may have here; a chain opens all of them below it. */
export const OUTPUT_FD_MAX = 200;
/** Bytes of crun's log that a problem quotes. */
export const PROBLEM_BYTES_MAX = 2_000;
/** A container's own configuration, read back when it is adopted. */
export const CONFIG_BYTES_MAX = 4 * 1024 * 1024;
/** Read from a pipe at a time, when the end of its container is known. */
export const PIPE_PIECE_BYTES = 64 * 1024;
/** And in all: no pipe of an unprivileged process holds more, unless root allowed that. */
export const PIPE_BYTES_MAX = 16 * 1024 * 1024;
/** Containers that are looked at when a daemon comes back; nobody has more. */
export const ATTEMPTS_MAX = 10_000;
/** Files of a scratch layer that are looked at one by one; a larger one is left to a program. */
export const SCRATCH_ENTRIES_MAX = 500;
/** Of what the shell that starts chains says, for an error. */
export const SPAWNER_WORDS_BYTES_MAX = 2_000;
/** Times that a chain is ordered, when each time the shell that was to start it is killed. */
export const ORDERS_MAX = 3;
/** How often a chain that has ended, and waits to be told that its exit was read, looks whether it still can be, in seconds. */
export const HOLD_LOOK_S = 30;
/** How long a daemon that stops waits for directories to be deleted. */
export const SWEEP_STOP_MS_MAX = 10_000;
/** Scratch layers made at a time, and below how many more are made. */
export const SCRATCH_BATCH = 64;
export const SCRATCH_LOW = 16;
/** Sets of the small files that Podman makes for a container, made at a time. */
export const FILES_BATCH = 16;
/** Unused directories that are kept for the next containers, of each kind. */
export const STOCK_MAX = 256;
/** Longer than a tick of the clock that the kernel stamps changes with (1 to 10 ms). */
export const STAMP_MS_MAX = 20;
/** Free memory below which control files stay on the disk. */
export const RUN_BYTES_MIN = 32 * 1024 * 1024;
