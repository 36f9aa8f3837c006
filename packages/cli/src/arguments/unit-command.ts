import type { CommandShape } from './command-shape.ts';

export const SERVICE_ACTIONS = ['install', 'uninstall', 'status'] as const;
type ServiceAction = (typeof SERVICE_ACTIONS)[number];

/** The daemon as a unit of the user's systemd. */
export const SERVICE: CommandShape = {
  name: 'service',
  summary: 'have systemd start the daemon of this user, and keep it up',
  operands: [{ name: SERVICE_ACTIONS.join('|'), kind: 'service-action' }],
  options: {},
  details: [
    'service install writes a unit of this user (~/.config/systemd/user/podmesh.service) and starts it; no root is',
    'needed. It asks systemd to let it run while nobody is logged in, and says what to type where that takes an',
    'administrator. An address given with --nats or PODMESH_NATS is kept in ~/.config/podmesh/environment, which only',
    'this user can read; PODMESH_UP_OPTIONS="--cores 4 --label disk=ssd" there is passed to "podmesh up".',
    'After a change of --grace there, install it again: systemd has to wait as long when it stops the daemon.',
    'service uninstall stops it and removes the unit; the state of the peer stays.',
    'service status exits with 1 unless it runs.',
  ],
  examples: ['podmesh service install', 'podmesh service status --json'],
};

export const isServiceAction = (word: string): word is ServiceAction =>
  SERVICE_ACTIONS.some((action) => action === word);
