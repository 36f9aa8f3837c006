import type { CommandShape } from './command-shape.ts';

/** Who carries the mesh. */
export const ANCHORS: CommandShape = {
  name: 'anchors',
  summary: 'show and change which machines carry the mesh',
  operands: [
    { name: 'set', kind: 'anchor-action', optional: true },
    { name: 'PEER', kind: 'peer', optional: true, repeated: true },
  ],
  options: {},
  details: [
    'An anchor is a peer whose nats-server keeps everything and votes: one while there is one machine, three',
    'to survive the loss of one. Alone it shows them, and whom it proposes, with the reasons. "set A B C" goes',
    'over from one to three: all that there is is copied while runs go on, in a pause of seconds in which nothing',
    'can be stored; claims are kept. Whatever dies meanwhile, the mesh is on the old anchor or on the new ones.',
    '"replace GONE NEW" gives the place of one that does not come back to another, "retire PEER [NEW]" that of one',
    'that works; nothing pauses. All of it on the machine that made the mesh, which stays an anchor.',
    'A laptop is proposed only while it is alone.',
  ],
  examples: [
    'podmesh anchors',
    'podmesh anchors set attic desk lab-1',
    'podmesh anchors replace desk lab-2',
  ],
};
