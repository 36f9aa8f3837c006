import type { CommandShape } from './command-shape.ts';

/** Who carries the mesh. */
export const ANCHORS: CommandShape = {
  name: 'anchors',
  summary: 'show and change which machines carry the mesh',
  operands: [
    { name: 'set', kind: 'anchor-action', optional: true },
    { name: 'PEER', kind: 'peer', optional: true, repeated: true },
  ],
  options: {
    lost: {
      kind: 'text',
      value: 'PEER,PEER',
      help: 'with rescue: the anchors that are gone for good, most of them',
    },
  },
  details: [
    'An anchor is a peer whose nats-server keeps everything and votes: one while there is one machine, three',
    'to survive the loss of one, five of two. Alone it shows them, and whom it proposes, with the reasons. "set A B C" goes',
    'over from one to three: all that there is is copied while runs go on, in a pause of seconds in which nothing',
    'can be stored; claims are kept. Whatever dies meanwhile, the mesh is on the old anchor or on the new ones.',
    '"replace GONE NEW" gives the place of one that does not come back to another, "retire PEER [NEW]" that of one',
    'that works; "set" with others, or with five or three of them, exchanges as many as it takes. Nothing pauses,',
    'and whatever dies meanwhile, it is finished or was never begun. "set A" makes several one again, that with the keys:',
    'everything is gathered there while all goes on, then it serves alone, after a pause of seconds; from then on it',
    'has the only copy. All of it on the machine that made the mesh,',
    'which stays an anchor; "podmesh up --auto-anchors" there does it unasked, and makes one three again. A laptop is',
    'proposed only while it is alone, and taken when you name it. Where two of three are gone for good,',
    'everything waits until one of them is back; only if none ever comes back, "rescue --lost B,C" on the machine',
    'that is left goes on with what it has: facts that only others had stored are not in the mesh any more. Who comes',
    'back and finds it keeps what it had in nats/over-gN of its home, and serves it no more; where it does not find it,',
    'it must never come back with its old disk. Where no daemon comes up in a mesh that stands still, it is noted,',
    'and done at the next "podmesh up".',
  ],
  examples: [
    'podmesh anchors',
    'podmesh anchors set attic desk lab-1',
    'podmesh anchors replace desk lab-2',
    'podmesh anchors rescue --lost desk,lab-1',
    'podmesh anchors set attic lab-1 lab-2 lab-3 nas',
  ],
};
