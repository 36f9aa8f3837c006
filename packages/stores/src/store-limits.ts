/** How long a store may take to answer a request, connection included. */
export const ANSWER_MS = 30_000;
/** How long the connection alone may take: a machine that is not there says nothing at all. */
export const CONNECT_MS = 8_000;
/** A body of which less than the following comes, or goes, within this is begun again where it was. */
export const STALL_MS = 30_000;
/** About half a kibibyte a second: who sends less holds a claim for nothing. */
export const STALL_BYTES_MIN = 16 * 1024;
/** Tries in a row of which less than that came. Nobody repeats them: an attempt that fails for a store is over. */
export const FRUITLESS_TRIES_MAX = 4;
/** Rest before the next of them, twice as long each time. */
export const RETRY_MS = 500;
/** Tries of one request that writes, with 15 s of rest between them together. Nobody repeats them. */
export const WRITE_TRIES_MAX = 6;
/** Redirections of one request. */
export const REDIRECTS_MAX = 5;
/** Files above this are sent to S3 in parts of this size, each checked by the store. */
export const PART_BYTES = 16 * 1024 * 1024;
/** Parts on their way at the same time, each in memory. */
export const PARTS_AT_ONCE = 2;
/** How long the parts of an upload that failed are being taken away. */
export const CLEAN_UP_MS = 10_000;
