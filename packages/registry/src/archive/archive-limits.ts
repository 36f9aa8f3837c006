/** Every bound of reading image archives, unit last. */

/** Entries of an archive: beyond any image, and short of what would tie a peer up. */
export const ARCHIVE_ENTRIES_MAX = 20_000;
/** Names and other words about an entry that are too long for its header. */
export const ENTRY_WORDS_BYTES_MAX = 1024 * 1024;
/** Of what says what an archive holds (`index.json`, `manifest.json`, manifests, configs). */
export const ARCHIVE_JSON_BYTES_MAX = 4 * 1024 * 1024;
/** How often a link may lead to another one. */
export const LINKS_MAX = 8;
