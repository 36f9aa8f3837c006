import { ANCHORS } from './anchor-commands.ts';
import { CACHE } from './cache-commands.ts';
import type { CommandShape } from './command-shape.ts';
import { IMAGE } from './image-commands.ts';
import { INVITE, INVITES, JOIN, MEMBERS, REVOKE } from './membership-commands.ts';
import { DRAIN, POLICY, UNDRAIN, WAKE } from './owner-commands.ts';
import { COMPLETION, DOCTOR, DOWN, HELP, PEERS, RUN, UP } from './peer-commands.ts';
import { CANCEL, EXPLAIN, GET, LOGS, PS, PUT, RELEASE, SHOW, WAIT } from './run-commands.ts';
import { SERVICE } from './unit-command.ts';

/** All commands, in the order of `podmesh help`. */
export const COMMANDS = {
  up: UP,
  down: DOWN,
  join: JOIN,
  invite: INVITE,
  invites: INVITES,
  members: MEMBERS,
  revoke: REVOKE,
  run: RUN,
  ps: PS,
  show: SHOW,
  logs: LOGS,
  wait: WAIT,
  cancel: CANCEL,
  release: RELEASE,
  get: GET,
  put: PUT,
  image: IMAGE,
  cache: CACHE,
  peers: PEERS,
  drain: DRAIN,
  undrain: UNDRAIN,
  wake: WAKE,
  policy: POLICY,
  explain: EXPLAIN,
  anchors: ANCHORS,
  service: SERVICE,
  doctor: DOCTOR,
  completion: COMPLETION,
  help: HELP,
} as const satisfies Readonly<Record<string, CommandShape>>;

export type CommandName = keyof typeof COMMANDS;

export const COMMAND_NAMES = Object.keys(COMMANDS) as readonly CommandName[];

/** Whether the word is the name of a command. */
export const isCommandName = (word: string): word is CommandName => Object.hasOwn(COMMANDS, word);
