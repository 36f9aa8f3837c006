/** Every bound of this package in one place, unit last. */

/** Ping, inspect, list, kill: answered from Podman's database, so a slow one means a stuck service. */
export const QUERY_MS_MAX = 30_000;
/** Create a container: a layer and a row in the database; slow only while the disk is. */
export const CREATE_MS_MAX = 60_000;
/** Attach (which runs the OCI runtime's `create`) and start. */
export const START_MS_MAX = 60_000;
/** Remove with force: kills, unmounts, deletes the layer. A big layer takes its time to delete. */
export const REMOVE_MS_MAX = 120_000;
/** Tries to remove a container that ends in the same moment, and the pause that grows between them. */
export const REMOVE_ATTEMPTS_MAX = 8;
export const REMOVE_RETRY_MS = 20;
/** First byte of an archive, a log or an attachment; the stream itself lasts as long as it flows. */
export const STREAM_OPEN_MS_MAX = 30_000;
/** An archive that sends nothing for this long is stuck. */
export const STREAM_IDLE_MS_MAX = 120_000;
/** Pull or load one image, however large. */
export const IMAGE_TRANSFER_MS_MAX = 60 * 60 * 1_000;
/** A pull of which nothing more comes for this long has stalled, while bytes are expected. */
export const PULL_IDLE_MS_MAX = 120_000;
/** The same while Podman may be at work without a word: unpacking, or copying without counting. */
export const PULL_SILENT_MS_MAX = 15 * 60 * 1_000;
/** Between two lines about how far a pull is. */
export const PULL_SAY_MS = 1_000;
/** Build one image, all of its commands together. */
export const IMAGE_BUILD_MS_MAX = 2 * 60 * 60 * 1_000;
/** One answer to "is Podman there?" while looking for its socket. */
export const PING_MS_MAX = 5_000;
/** From spawning `podman system service` to its first answer; the first one ever sets up storage. */
export const SERVICE_READY_MS_MAX = 30_000;
/** Between two looks whether a service that was just spawned answers yet. */
export const SERVICE_READY_POLL_MS = 20;
/** From SIGTERM to SIGKILL for our own service. It keeps no state that SIGKILL could harm. */
export const SERVICE_STOP_MS_MAX = 5_000;
/** First pause before a service that died is started again; doubles up to the maximum. */
export const SERVICE_RESTART_MS_MIN = 100;
export const SERVICE_RESTART_MS_MAX = 10_000;
/** How long a running container is asked for while Podman does not answer (its service restarts). */
export const UNREACHABLE_MS_MAX = 60_000;
/** Pause between two such questions. */
export const UNREACHABLE_RETRY_MS = 200;

/** Poll interval inside Podman right after the output ended: the exit is a moment away. */
export const EXIT_POLL_MS_SOON = 5;
/** How long the exit counts as "a moment away". */
export const EXIT_SOON_MS_MAX = 1_000;
/** Poll interval for a container that closed its outputs and works on. */
export const EXIT_POLL_MS_LATER = 250;
/** One such wait; it is asked again, so that no connection is older than this. */
export const EXIT_WAIT_ROUND_MS = 60_000;
/** How long Podman's clean-up after an exit is waited for before files are read; it takes 50 ms. */
export const CLEAN_UP_MS_MAX = 20_000;
/** Between two looks whether the launcher has reached the command; it takes 2 ms as a rule. */
export const LAUNCH_POLL_MS = 3;

/** `oom_score_adj` of a task's processes: the kernel takes them before others of their size. */
export const TASK_OOM_SCORE = 300;
/** Processes of one container whose memory is measured; many more are ended for their number. */
export const PROCESSES_MEASURED_MAX = 4_096;
/** Containers that cannot use more than this, shared pages counted fully, are not measured exactly. */
export const PSS_WORTH_BYTES = 32 * 1024 * 1024;
/** Files of a scratch layer that one measurement looks at; what is beyond is not counted. */
export const SCRATCH_ENTRIES_MAX = 20_000;
/** Podman's own copy of a container's output, read only when a killed daemon comes back. It is emptied when full. */
export const LOG_COPY_BYTES_MAX = 512 * 1024 * 1024;
/** From a container's removal to the stop of its slice, which one command does for many. */
export const SLICE_STOP_MS = 1_000;
/** How often a slice that is still in use is looked at again; then it is left to the next daemon. */
export const SLICE_STOP_ROUNDS_MAX = 30;
/** Slices that one command stops. */
export const SLICE_STOPS_AT_ONCE_MAX = 64;
/** `systemctl --no-block` hands over an order and ends. */
export const SYSTEMCTL_MS_MAX = 10_000;
/** The longest path of a unix socket on Linux, without the final zero. */
export const SOCKET_PATH_BYTES_MAX = 107;
/** Bytes of the end of the service's own log that an error quotes. */
export const SERVICE_LOG_TAIL_BYTES = 2_000;
/** One command that `doctor` runs; the container it tries is the slowest. */
export const DOCTOR_COMMAND_MS_MAX = 30_000;
/** A canary's whole flight, loading its image included. */
export const CANARY_MS_MAX = 60_000;
/** Images whose configuration is remembered between starts. */
export const IMAGES_REMEMBERED_MAX = 256;
