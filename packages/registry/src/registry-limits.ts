/** Every bound of the registry, unit last. */

/** Uploads that were begun and are not finished. */
export const UPLOADS_MAX = 64;
/** An unfinished upload that nobody touches for this long is given up. */
export const UPLOAD_IDLE_MS = 15 * 60 * 1_000;
/** How often such uploads are looked for. */
export const UPLOAD_SWEEP_MS = 60_000;
/** A client that neither sends nor takes a byte of a body for this long is hung up on. */
export const BODY_IDLE_MS = 120_000;
/** Of a body that is refused, so much is still read, so that the client reads the answer. */
export const UNWANTED_BODY_BYTES_MAX = 1024 * 1024 * 1024;
/** Clients that are served at the same time. */
export const CONNECTIONS_MAX = 256;
/** Until all headers of a request are there. */
export const HEADERS_MS = 30_000;
/** Tags of one answer; more are behind its `Link`. */
export const TAGS_PER_PAGE_MAX = 10_000;
/** Referrers of one answer; more are behind its `Link`. */
export const REFERRERS_PER_PAGE_MAX = 200;
/** Tags that one push by digest may set. */
export const TAGS_PER_PUSH_MAX = 100;
/** Parts of an image that are looked for, or shared, at the same time. */
export const PARTS_AT_ONCE_MAX = 4;
