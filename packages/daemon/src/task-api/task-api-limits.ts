/** Every bound of what a task may ask of its peer, unit last. */

/** Connections of one attempt at the same time; further ones are closed. */
export const TASK_CONNECTIONS_MAX = 128;
/** Requests of one attempt that are being answered at the same time, waits among them. */
export const TASK_REQUESTS_MAX = 128;
/** Connections of all attempts of this peer together. */
export const PEER_CONNECTIONS_MAX = 4_096;
/** Artifacts that one attempt stores or reads at the same time. */
export const TASK_STREAMS_MAX = 8;
/** Of the head of a request. */
export const HEAD_BYTES_MAX = 8 * 1024;
/** A head has arrived within this… */
export const HEAD_MS = 10_000;
/** …and a JSON body within this. */
export const BODY_MS = 30_000;
/** How often those two are looked at. */
export const CHECK_MS = 1_000;
/** A connection without a request is closed after this. */
export const IDLE_MS = 60_000;
/** Of a JSON body: a spawn in the log has a quarter of that at most. */
export const JSON_BYTES_MAX = 1024 * 1024;
/** Bytes of an artifact move at least once within this, in either direction. */
export const STALL_MS = 60_000;
/** What an attempt says of its progress is told to the mesh this often at most; only the last word counts. */
export const REPORT_MS_MIN = 250;
/** Characters of a progress message that are kept. */
export const MESSAGE_CHARACTERS_MAX = 500;
/** Different metrics of one attempt. */
export const METRICS_MAX = 100;
/** Characters of the name of a metric. */
export const METRIC_NAME_CHARACTERS_MAX = 100;
/** What the directory of peers said is believed this long. */
export const CAPACITY_AGE_MS_MAX = 1_000;
/** The longest wait of one request; whoever wants to wait longer asks again. */
export const WAIT_MS_MAX = 300_000;
/** Sub-tasks of one answer. */
export const TASKS_LISTED_MAX = 10_000;
/** Of such an answer so much is made at a time. */
export const LISTING_PIECE_CHARACTERS = 64 * 1024;
/** Listings of directories that are looked through for bytes which nobody has any more. */
export const LISTINGS_READ_MAX = 1_000;
/** A run that no task asks about any more is followed this long, in case one does. */
export const FEED_LINGER_MS = 30_000;
/** Rest after a run could not be followed. */
export const FEED_RETRY_MS = 1_000;
/** What was appended is read again within this. */
export const APPEND_MS_MAX = 30_000;
/** How often a spawn is begun again because the task's log was written to meanwhile. */
export const SPAWN_TRIES_MAX = 20;
/** Connections of one attempt to NATS at the same time; further ones are closed. */
export const TASK_DOOR_CONNECTIONS_MAX = 16;
/** Credentials of an attempt are good for its time limit, and this long: clocks of machines differ. */
export const CREDENTIALS_LATE_MS = 600_000;
