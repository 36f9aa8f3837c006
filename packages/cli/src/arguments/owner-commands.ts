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
    'started again, until "podmesh undrain". Waits until nothing is in hand; exits with 1 when outputs of',
    'unfinished runs are on this peer alone. Ctrl-C ends the wait, not the drain.',
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
    '{ cores: 50%, memory: 50% }). What changes in the file holds within seconds. What this machine cannot tell',
    '(no logind, no NetworkManager) never holds, and is shown as not known.',
  ],
  examples: ['podmesh policy', 'podmesh policy --defaults > ~/.local/share/podmesh/policy.yaml'],
};

export const UNDRAIN: CommandShape = {
  name: 'undrain',
  summary: 'let a drained peer claim tasks again',
  operands: [PEER_OPERAND],
  options: {},
  details: ['Without PEER: the one of this machine.'],
  examples: ['podmesh undrain', 'podmesh undrain attic'],
};
