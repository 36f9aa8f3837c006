import type { CommandShape } from './command-shape.ts';

/** The commands about who is in the mesh. */
export const INVITE: CommandShape = {
  name: 'invite',
  summary: 'print the line with which another machine joins the mesh',
  operands: [],
  options: {
    role: {
      kind: 'text',
      value: 'ROLE',
      help: 'peer (runs tasks), user (publishes, reads) or anchor (default: peer)',
    },
    expires: {
      kind: 'text',
      value: 'TIME',
      help: 'how long it is good: 30m, 1h, 7d (default: 1h)',
    },
    uses: { kind: 'text', value: 'N', help: 'how many machines may use it (default: 1)' },
    name: { kind: 'text', value: 'NAME', help: 'the only name under which it lets somebody in' },
    address: {
      kind: 'texts',
      value: 'HOST:PORT',
      help: 'where others reach the mesh (default: where it listens); may be repeated',
    },
  },
  details: [
    'Where the keys of the mesh are: on the machine that made it. Whoever has the line can join, so',
    'pass it on as you would a password. It is kept nowhere; podmesh revoke takes it back by its number.',
  ],
  examples: ['podmesh invite', 'podmesh invite --role user --expires 1d --uses 20'],
};

export const INVITES: CommandShape = {
  name: 'invites',
  summary: 'list the invitations of the mesh and who came with them',
  operands: [],
  options: {},
  details: [],
  examples: ['podmesh invites'],
};

export const JOIN: CommandShape = {
  name: 'join',
  summary: 'make this machine a member of the mesh that a line invites to',
  operands: [{ name: 'LINE', kind: 'word', optional: true }],
  options: {
    name: {
      kind: 'text',
      value: 'NAME',
      help: 'its name in the mesh (default: that of the machine)',
    },
    wait: {
      kind: 'text',
      value: 'TIME',
      help: 'without LINE: how long to look (default: 2s)',
    },
  },
  details: [
    'LINE is what "podmesh invite" printed; - reads it from standard input, where no list of processes',
    'shows it. The server has to prove that it is the one of the line. The keys of this machine are made',
    'here and never leave it. Afterwards a plain "podmesh up" makes it a peer, if the line is for one.',
    'Without LINE it lists the meshes of the local network (mDNS), and joins none.',
  ],
  examples: ['podmesh join LINE', 'podmesh join - < line.txt', 'podmesh join'],
};

export const MEMBERS: CommandShape = {
  name: 'members',
  summary: 'list who is in the mesh, as what, since when, and last seen',
  operands: [],
  options: {},
  details: [],
  examples: ['podmesh members', 'podmesh members --json'],
};

export const REVOKE: CommandShape = {
  name: 'revoke',
  summary: 'take a member out of the mesh, or an invitation back',
  operands: [{ name: 'NAME|INVITATION', kind: 'word' }],
  options: {},
  details: [
    'Where the keys of the mesh are. The member is cut off within seconds: what it was running is done',
    'again elsewhere, and what it still has to say is refused. To come back it needs a new invitation.',
  ],
  examples: ['podmesh revoke old-laptop', 'podmesh revoke inv-0a1b2c3d4e'],
};
