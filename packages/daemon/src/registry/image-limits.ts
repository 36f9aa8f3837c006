/**
 * Parts of a pushed image up to this go into the mesh's object store too, so that the image survives the peer it was pushed
 * to. Larger ones are at that peer, and at whoever has run it.
 */
export const SHARED_PART_BYTES_MAX = 64 * 1024 * 1024;
/** What tags mean is compared with what is pinned this often: others push as well. */
export const TAG_PINS_MS = 60_000;
/** Parts of an image that are fetched from other peers at the same time; transfers have their own bound. */
export const PARTS_FETCHED_MAX = 4;
/** A compressed archive may become so many times as large… */
export const EXPANSION_MAX = 100;
/** …and no larger than this, however large it was… */
export const EXPANDED_BYTES_MAX = 32 * 1024 * 1024 * 1024;
/** …and only so many times as large by evicting what others may want again: zeros grow more, layers do not… */
export const EXPANSION_EVICTING_MAX = 10;
/** …and as large as this in any case. */
export const EXPANDED_BYTES_SURE = 64 * 1024 * 1024;
/** Written at once of what is expanded: every write is a journey to another thread. */
export const EXPANDED_PIECE_BYTES = 1024 * 1024;
