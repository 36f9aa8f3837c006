import type { CommandShape } from './command-shape.ts';

export const CACHE_ACTIONS = ['ls', 'pin', 'unpin', 'prune', 'verify', 'who-has'] as const;
export type CacheAction = (typeof CACHE_ACTIONS)[number];

/** What a machine keeps of inputs and outputs, and who else has it. */
export const CACHE: CommandShape = {
  name: 'cache',
  summary: 'look after the artifacts on this machine, or ask who has one',
  operands: [
    { name: CACHE_ACTIONS.join('|'), kind: 'cache-action' },
    { name: 'DIGEST', kind: 'digest', optional: true, repeated: true },
  ],
  options: {
    mesh: { kind: 'flag', help: "ls: the mesh's own object store in place of this machine's disk" },
    to: {
      kind: 'text',
      value: 'SIZE',
      help: 'prune: go on until the cache has no more than that, such as 20GiB',
    },
  },
  details: [
    'cache ls lists the artifacts that the daemon of PODMESH_HOME has on its disk, the last used first, and why some',
    'of them stay; with --mesh what the object store of the mesh holds, how full it may be, and when it was swept:',
    'what no run of the last 30 days, no result and no image needs goes within days.',
    'cache pin keeps artifacts whatever else has to go, over restarts too, and those that are not here',
    'yet once they come; cache unpin takes that back. Pinning a directory keeps its listing, not the files in it.',
    'cache prune removes what nobody is going to read; with --to, more, the least worth and the longest unused first,',
    'never what is pinned or in use. It exits with 1 when that is not enough.',
    'cache verify reads artifacts, all of them unless some are named. Those whose bytes are not what their digest says',
    'are out of use at once, pinned or not, with the folders they are part of; tasks that read them are ended and tried',
    'again. They come again from another holder, or are lost here: then who needs one has its producer done again.',
    'It exits with 1 when there were such, or one that was named is not here.',
    'cache who-has asks every peer of the mesh who has an artifact; it needs no daemon on this machine. It exits with 1',
    'when nobody has all of it.',
    'A DIGEST may leave out "sha256:", and end after 8 digits where that is enough to know it among those of cache ls.',
  ],
  examples: [
    'podmesh cache ls',
    'podmesh cache prune --to 20GiB',
    'podmesh cache verify 3f2a9c01d4e5',
  ],
};

export const isCacheAction = (word: string): word is CacheAction =>
  CACHE_ACTIONS.some((action) => action === word);
