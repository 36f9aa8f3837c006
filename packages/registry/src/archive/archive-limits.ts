/** Every bound of reading image archives, unit last. */

/** Entries of an archive: beyond any image, and short of what would tie a peer up. */
export const ARCHIVE_ENTRIES_MAX = 20_000;
/** Names and other words about an entry that are too long for its header. */
export const ENTRY_WORDS_BYTES_MAX = 1024 * 1024;
/** Those of all entries together: names stay in memory while an archive is read. */
export const ARCHIVE_WORDS_BYTES_MAX = 16 * 1024 * 1024;
/** Records in such words, of all entries together: an image has a handful per entry. */
export const ARCHIVE_RECORDS_MAX = 200_000;
/** Characters of one name, or of where a link leads: as long as Linux takes a path. */
export const NAME_CHARS_MAX = 4_096;
/** Of what says what an archive holds (`index.json`, `manifest.json`, manifests, configs). */
export const ARCHIVE_JSON_BYTES_MAX = 4 * 1024 * 1024;
/** How often a link may lead to another one. */
export const LINKS_MAX = 8;
