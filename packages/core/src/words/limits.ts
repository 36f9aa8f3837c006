/** Every bound of podmesh in one place, unit last. Each is a promise to some other part: say which. */

/** A document larger than this is refused before it is parsed. */
export const DOCUMENT_BYTES_MAX = 64 * 1024 * 1024;
/** Jobs of one document. */
export const JOBS_PER_GRAPH_MAX = 200_000;
/** Tasks of one run, array elements counted. */
export const TASKS_PER_GRAPH_MAX = 1_000_000;
/** Elements of one array job. */
export const ARRAY_ELEMENTS_MAX = 100_000;
/** Inputs, outputs, or `after` entries of one job. */
export const NAMES_PER_JOB_MAX = 256;
/** Environment variables of one job. */
export const ENV_PER_JOB_MAX = 512;
/** Command words of one job together; Linux's own limit for one exec is 2 MiB. */
export const COMMAND_BYTES_MAX = 128 * 1024;
/** Problems listed in one answer; a longer list helps nobody. */
export const PROBLEMS_LISTED_MAX = 100;
/** Values above this are artifacts and are referred to by digest (DESIGN §4). */
export const INLINE_VALUE_BYTES_MAX = 256 * 1024;
/** Attempts of one task, whatever `retries` says. */
export const ATTEMPTS_PER_TASK_MAX = 50;
/** `retries` of one job. */
export const RETRIES_MAX = 20;
/** Attempts of one task that are repeated for free because the mesh, not the task, failed. */
export const MESH_RETRIES_MAX = 10;
/** Different peers that a task may lose before it is held for a person. */
export const PEERS_LOST_MAX = 1;
/** A task that ran out of memory gets at most so many times what it asked for. */
export const MEMORY_GROWTH_MAX = 8;
/** Processes and threads of one task: stops fork bombs only. */
export const TASK_PIDS_MAX = 4_096;
/** Bytes of the end of standard error that a failure carries. */
export const STDERR_TAIL_BYTES_MAX = 16 * 1024;
/** Log bytes kept of one attempt; the rest is counted, not stored. */
export const LOG_BYTES_MAX = 256 * 1024 * 1024;
/** Bytes of one live-log message. */
export const LOG_CHUNK_BYTES_MAX = 64 * 1024;
/** Offers of one run that wait in the queue at the same time, so that many runs share the mesh. */
export const OFFERS_PER_RUN_MAX = 2_000;
/** Runs that one peer drives at the same time. */
export const DRIVES_PER_PEER_MAX = 32;
/** Jobs that a heartbeat names as tried now and then only. */
export const RATIONS_TOLD_MAX = 10;
/** Characters of why, for each of them. */
export const RATION_REASON_CHARACTERS_MAX = 500;
/** Elements that a `forEach` job may have: as many as those of an array that says its number. */
export const EXPANSION_MAX = 100_000;
/** Bytes of a listing, a JSON array or a text that a `forEach` job goes over: its driver reads it whole. */
export const EXPANSION_BYTES_MAX = 64 * 1024 * 1024;
/** Bytes of one piece of a list of elements that does not fit into its event: each is an artifact every peer can reach. */
export const EXPANSION_PIECE_BYTES = 512 * 1024;
/** Bytes of a text that a condition is about. */
export const CONDITION_BYTES_MAX = 1024 * 1024;
/** How deep files may include each other as graphs, the document itself counted. */
export const SUBGRAPH_DEPTH_MAX = 16;
/** Files that documents include as graphs, in one run: each time that one is named counts. */
export const SUBGRAPHS_MAX = 2_000;
/** How deep sub-tasks may spawn sub-tasks, unless the job says less: 1 is sub-tasks that spawn none. */
export const SPAWN_DEPTH_DEFAULT = 4;
/** What a job may say at most. */
export const SPAWN_DEPTH_MAX = 16;
/** Sub-tasks of one task, those that they spawn counted, unless its job says otherwise. */
export const SPAWN_TASKS_DEFAULT = 10_000;
/** What a job may say at most. */
export const SPAWN_TASKS_MAX = 200_000;
/** CPU seconds that the sub-tasks of one task may have used when it asks for more, unless its job says otherwise: 100 core days. */
export const SPAWN_CPU_SECONDS_DEFAULT = 8_640_000;
/** What a job may say at most. */
export const SPAWN_CPU_SECONDS_MAX = 1_000_000_000;
/** Jobs of one `tasks-spawned`; who wants more asks again with another key. */
export const SPAWN_JOBS_MAX = 1_000;
/** Of the log of one run, characters of all jobs that tasks of it spawned: whoever reads the log holds them in memory. */
export const SPAWN_BYTES_PER_RUN_MAX = 256 * 1024 * 1024;
/** Characters of the key of a spawn. */
export const SPAWN_KEY_CHARACTERS_MAX = 256;
/** Images that a job names for its sub-tasks. */
export const SPAWN_IMAGES_MAX = 100;
/** Entries of one tree artifact. */
export const TREE_ENTRIES_MAX = 1_000_000;
/** Bytes of one artifact. */
export const ARTIFACT_BYTES_MAX = 64 * 1024 * 1024 * 1024;
/** Above this an artifact's bytes go directly from peer to peer, and not through the server's object store. */
export const SMALL_ARTIFACT_BYTES_MAX = 1024 * 1024;
/** How often one task is done again because nobody has its outputs any more: bounds the work of a run on disks that lose everything. */
export const RERUNS_PER_TASK_MAX = 3;
/** Copies of what a run leaves behind, unless its job says otherwise: one disk may go. */
export const REPLICAS_DEFAULT = 2;
/** Copies that a job may ask for: more protect from nothing that is likely. */
export const REPLICAS_MAX = 5;
/** Tasks of one run whose outputs are brought to other peers at the same time. */
export const KEEPS_PER_RUN_MAX = 64;
/** Artifacts of one order to keep: all outputs of a task. */
export const KEEP_ORDER_ARTIFACTS_MAX = 256;
/** Orders of others that a peer works on at the same time; the rest wait their turn. */
export const KEEPS_AT_WORK_MAX = 2;
/** Orders of others that a peer knows of at the same time; beyond them it refuses. */
export const KEEPS_PER_PEER_MAX = 1_024;
/** Bytes that are verified, asked for and begun again as one when artifacts move between peers. */
export const CHUNK_BYTES = 4 * 1024 * 1024;
/** Artifacts that one peer gets from others at the same time. */
export const TRANSFERS_MAX = 4;
/** Chunks of one artifact that are on their way at the same time. */
export const STREAMS_PER_TRANSFER_MAX = 4;
/** Of them, from the same source. */
export const STREAMS_PER_SOURCE_MAX = 2;
/** Chunks that one peer serves at the same time; who asks for more is told to come back. */
export const UPLOAD_STREAMS_MAX = 16;
/** Bytes of an artifact in one message, where only the server connects two peers. */
export const RELAY_PART_BYTES = 256 * 1024;
/** Such messages of one transfer that are on their way at the same time. */
export const RELAY_PARTS_MAX = 4;
/** Such messages that one peer answers at the same time. */
export const RELAY_SERVES_MAX = 4;
/** Bytes per second that one peer sends, and gets, through the server: control messages come first. */
export const RELAY_BYTES_PER_S_MAX = 32 * 1024 * 1024;
/** Artifacts of one question who has them. */
export const WHO_HAS_ARTIFACTS_MAX = 512;

/** How long a peer that is asked to keep something is waited for: it answers at once, and works on beside. */
export const KEEP_ANSWER_MS = 2_000;
/** How long a peer that is told something is waited for: it says that it will, and does it beside. */
export const PEER_ORDER_ANSWER_MS = 3_000;
/** Peers that sleep, and are remembered… */
export const SLEEPERS_MAX = 1_000;
/** …with so many cards and networks each… */
export const SLEEPER_LINKS_MAX = 8;
/** …for so long. */
export const SLEEPER_MS_MAX = 30 * 24 * 60 * 60 * 1_000;
/** A task that nobody has begun waits so long until sleeping machines are thought of. */
export const WAKE_AFTER_MS = 60_000;
/** Kinds of such tasks that a heartbeat names. */
export const WANTED_TOLD_MAX = 8;
/** A machine that was called is waited for so long; then it is called again, or another is. */
export const WAKE_PATIENCE_MS = 90_000;
/** A machine that does not come, or comes and does nothing, is called so often. */
export const WAKE_CALLS_MAX = 5;
/** Image archives of which it is remembered what is in them… */
export const ARCHIVED_IMAGES_MAX = 10_000;
/** …for so long after one was taken apart; afterwards it is taken apart again. */
export const ARCHIVED_IMAGE_MS_MAX = 30 * 24 * 60 * 60 * 1_000;
/** A run waits so long for a copy that nobody is at work on; then it goes on with fewer, and says so. */
export const KEEP_PATIENCE_MS = 60_000;
/** It waits no longer than this, whoever is at work: a run must come to its end. */
export const KEEP_MS_MAX = 60 * 60 * 1_000;
/** How long the first answer who has an artifact is waited for. */
export const WHO_HAS_MS = 1_000;
/** How long answers of all who have a part are waited for: nobody waits for the last of them. */
export const WHO_HAS_EVERYBODY_MS = 250;
/** A source that sends nothing for this long is left for another. */
export const SOURCE_STALL_MS = 10_000;
/** A transfer without a finished chunk for this long is given up. */
export const TRANSFER_STALL_MS = 60_000;
/** A source that failed is not asked again for this long, twice as long after each further time… */
export const SOURCE_BACK_OFF_MS = 1_000;
/** …up to this. */
export const SOURCE_BACK_OFF_MS_MAX = 60_000;
/** A source whose bytes were wrong is not asked again for this long. */
export const SOURCE_CORRUPT_MS = 600_000;
/** A claim is lost when it was not extended for this long (the queue's ack wait). */
export const LEASE_MS = 15_000;
/** A claim is extended this often, from a thread that nothing can block. */
export const LEASE_EXTEND_MS = 4_000;
/** A peer that could not extend for this long stops its container: before the server gives the claim away. */
export const LEASE_GIVE_UP_MS = 11_000;
/** A peer says that it is alive this often… */
export const HEARTBEAT_MS = 3_000;
/** …and is taken for gone after this long; below LEASE_EXTEND_MS before LEASE_MS, so that a redelivery finds it gone. */
export const PEER_TTL_MS = 10_000;
/** Time between SIGTERM and SIGKILL for a container. */
export const KILL_GRACE_MS = 10_000;
/** Time limit of a task that names none. */
export const TASK_TIMEOUT_MS_DEFAULT = 24 * 60 * 60 * 1_000;
/** The longest time limit a task may name. */
export const TASK_TIMEOUT_MS_MAX = 30 * 24 * 60 * 60 * 1_000;
/** Secrets, and stores, of one document. */
export const SECRETS_PER_GRAPH_MAX = 64;
/** Bytes of one secret's value. */
export const SECRET_BYTES_MAX = 32 * 1024;
/** Bytes of all values that the publisher of one run seals: they travel in one message for each peer. */
export const SECRETS_BYTES_MAX = 256 * 1024;
/** Shorter values are not taken out of logs: they would take ordinary words with them. */
export const MASKED_BYTES_MIN = 8;
/** What nothing refers to stays so long in the object store: a reference has to follow its put within this. */
export const SWEEP_GRACE_MS = 3 * 24 * 60 * 60 * 1_000;
/** Entries of the object store that one pass condemns, and the next one removes; the rest is for later ones. */
export const SWEEP_ENTRIES_MAX = 200_000;
/** The log of a finished run, and with it what it left in the object store, stays this long… */
export const RUN_LOG_KEPT_MS = 30 * 24 * 60 * 60 * 1_000;
/** …if it is among the newest of so many… */
export const RUN_LOGS_KEPT_MAX = 10_000;
/** …and its record this long. */
export const RUN_RECORD_KEPT_MS = 365 * 24 * 60 * 60 * 1_000;
/** A result that no run in the log speaks of is forgotten after this. */
export const RESULT_KEPT_MS = 30 * 24 * 60 * 60 * 1_000;
/** The object store of a mesh that has it made: half of it is reserved where the server's disk is smaller, and so on. */
export const OBJECT_STORE_BYTES_MAX = 64 * 1024 * 1024 * 1024;
/** Share of it that uploads and outputs may fill: the rest is for graphs and records, without which no run could end. */
export const OBJECT_STORE_SHARE_MAX = 0.9;
/** Up to here small outputs and logs go there, too; above it, to the disks of peers like large ones. */
export const OBJECT_STORE_SPARE_SHARE_MAX = 0.95;
/** Below this only outputs and logs are refused before the server itself does: they are on the disks of peers then. */
export const OBJECT_ALWAYS_BYTES_MAX = 256 * 1024;
/** What one attempt may put through the task API, unless its job asks for disk: then as much as that. */
export const TASK_PUT_BYTES_DEFAULT = 1024 * 1024 * 1024;
/** Artifacts that one attempt may put. */
export const TASK_PUTS_MAX = 100_000;
