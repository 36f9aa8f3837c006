import type { CommandShape, OperandShape } from './command-shape.ts';

const PEER_OPERAND: OperandShape = { name: 'PEER', kind: 'peer', optional: true };

/** The commands by which people get their machines back. */
export const DRAIN: CommandShape = {
  name: 'drain',
  summary: 'let a peer finish what it has and take nothing more',
  operands: [PEER_OPERAND],
  options: {
    deadline: {
      kind: 'text',
      value: 'TIME',
      help: 'what runs then is given back, such as 90s or 1h (default: 10m)',
    },
    detach: { kind: 'flag', short: 'd', help: 'do not wait until it is drained' },
  },
  details: [
    'Without PEER: the one of this machine. It claims nothing more, gives the runs that it drives to others',
    'at once, and lets its tasks go on until the deadline; what still runs then is given back, which uses up',
    'no attempts. Last, others get the outputs that only it has. It stays so, also when its daemon is',
    'started again, until "podmesh undrain". Waits until nothing is in hand; exits with 1 when outputs or',
    'logs of unfinished runs are on this peer alone. Ctrl-C ends the wait, not the drain.',
  ],
  examples: ['podmesh drain --deadline 10m && podmesh down', 'podmesh drain attic --detach'],
};

export const POLICY: CommandShape = {
  name: 'policy',
  summary: 'show what the owner of this machine lets podmesh have, and why',
  operands: [],
  options: {
    defaults: {
      kind: 'flag',
      help: 'print the policy that holds without a file, to begin one with',
    },
    battery: { kind: 'flag', help: 'with --defaults: that of a machine with a battery' },
  },
  details: [
    'The policy is policy.yaml in PODMESH_HOME; without one, defaults for laptops or desktops hold. Each of',
    'its rules has "when" (onBattery: true, batteryBelow: 30%, inUse: 5m, metered: true, between: "22:00-06:00",',
    'days: [sat, sun], loadAbove: 80%, hotterThan: 85; all of them have to hold) and "do" (pause, hand-back, or',
    '{ cores: 50%, memory: 50% }). "wake: false" beside the rules lets nobody wake it when it sleeps, and',
    'wake: { quiet: "22:00-07:00" } not at that time; nor is it woken at a time at which a rule has it pause.',
    'What changes in the file holds within seconds. What this machine cannot tell (no logind, no NetworkManager)',
    'never holds, and is shown as not known.',
  ],
  examples: ['podmesh policy', 'podmesh policy --defaults > ~/.local/share/podmesh/policy.yaml'],
};

export const WAKE: CommandShape = {
  name: 'wake',
  summary: 'wake machines that said good night, through a peer of their network',
  operands: [{ name: 'PEER', kind: 'peer', repeated: true }],
  options: {
    timeout: { kind: 'text', value: 'TIME', help: 'how long it may take (default: 3m)' },
    detach: { kind: 'flag', short: 'd', help: 'do not wait until it is there' },
  },
  details: [
    'PEER is the name of a sleeping peer ("podmesh peers") or of its machine. An awake peer in one of its networks',
    'sends the magic packet of Wake-on-LAN, which the machine has to obey: what to check is said when it does not',
    'come. Machines whose owners forbid it (wake: false in policy.yaml, or at a quiet time) are not called. The',
    'mesh does the same by itself for a machine that could do what nobody else has had room for in a minute,',
    'at most 5 times for nothing. Exits with 1 unless all are awake.',
  ],
  examples: ['podmesh wake attic', 'podmesh wake attic barn --timeout 10m'],
};

export const UNDRAIN: CommandShape = {
  name: 'undrain',
  summary: 'let a drained peer claim tasks again',
  operands: [PEER_OPERAND],
  options: {},
  details: ['Without PEER: the one of this machine.'],
  examples: ['podmesh undrain', 'podmesh undrain attic'],
};
