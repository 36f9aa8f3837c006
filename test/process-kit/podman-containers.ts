import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { RunId } from '@podmesh/core';
import { CLAIM_LABEL, PEER_LABEL, RUN_LABEL } from '@podmesh/podman';
import { untilSeen } from './within.ts';

export const BUSYBOX = 'localhost/podmesh/busybox:1';

const COMMAND_MS = 300_000;
const GONE_MS = 240_000;
/** Asking costs the machine that is waited for. */
const LOOK_MS = 100;
const END_MS = 300_000;
const OPENED_AGAIN_MS = 500;
const REMOVE_TRIES = 5;

/** A container as Podman itself tells: the judge that is no part of podmesh. */
export interface FoundContainer {
  readonly id: string;
  readonly state: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** Which of our containers are meant. */
export interface Whose {
  readonly run?: RunId;
  readonly peer?: string;
  readonly claim?: string;
}

export async function findContainers(whose: Whose): Promise<readonly FoundContainer[]> {
  const filters = labelsOf(whose).flatMap((label) => ['--filter', `label=${label}`]);
  const listed = JSON.parse(await podman('ps', '--all', ...filters, '--format', 'json')) as {
    Id: string;
    State: string;
    Labels: Record<string, string> | null;
  }[];
  return listed.map(({ Id, State, Labels }) => ({ id: Id, state: State, labels: Labels ?? {} }));
}

/** Resolves when Podman knows no such container any more. */
export async function untilGone(whose: Whose, limitMs = GONE_MS): Promise<void> {
  let left: readonly FoundContainer[] = [];
  const areGone = async (): Promise<boolean> => {
    left = await findContainers(whose);
    return left.length === 0;
  };
  const what = () => `these containers to be removed: ${JSON.stringify(left)}`;
  await untilSeen(limitMs, what, areGone, LOOK_MS);
}

/** Removes them by force: the last resort of a test that ends. */
export async function removeContainers(whose: Whose): Promise<void> {
  for (let triesLeft = REMOVE_TRIES; ; triesLeft -= 1) {
    const ids = (await findContainers(whose)).map(({ id }) => id);
    if (ids.length === 0) return;
    try {
      await podman('rm', '--force', '--time', '0', '--ignore', ...ids);
    } catch (error) {
      // Podman refuses one that ends by itself at the same moment.
      if (triesLeft <= 1) throw error;
    }
  }
}

/** Where a task waits until the test lets it go on; `never` is opened by nobody. */
export type Gate = 'first' | 'last' | 'never';

const SIGNAL_OF: Record<Gate, string> = { first: 'USR1', last: 'USR2', never: 'HUP' };

/** Shell words for the beginning of a task with gates: a signal before them would be lost. */
export const MAKE_GATES = Object.entries(SIGNAL_OF)
  .map(([gate, signal]) => `trap '${gate}=open' ${signal}`)
  .join('; ');

/** Shell words by which a task waits at a gate: no test guesses how long. */
export const awaitGate = (gate: Gate): string => `until [ "$${gate}" ]; do sleep 0.1; done`;

/** By a signal: `podman exec` fails when the container ends before its own clean-up does. */
export async function openGate(container: string, gate: Gate): Promise<void> {
  await podman('kill', '--signal', SIGNAL_OF[gate], container);
}

/** Opens the last gate of all that are meant, whenever they come to it, until that has ended. */
export async function letEnd<T>(whose: Whose, ending: Promise<T>): Promise<T> {
  let over = false;
  const note = (): void => {
    over = true;
  };
  ending.then(note, note);
  let seen: readonly FoundContainer[] = [];
  const isOver = async (): Promise<boolean> => {
    seen = await findContainers(whose);
    // One may end meanwhile.
    for (const { id, state } of seen)
      if (state === 'running') await openGate(id, 'last').catch(() => undefined);
    return over;
  };
  const what = () => `the end of what waits at gates; there are ${JSON.stringify(seen)}`;
  await untilSeen(END_MS, what, isOver, OPENED_AGAIN_MS);
  return ending;
}

/** Its standard output. Throws with what Podman said. */
export async function podman(...words: readonly string[]): Promise<string> {
  const options = { timeout: COMMAND_MS, maxBuffer: 64 * 2 ** 20 };
  return (await promisify(execFile)('podman', words, options)).stdout;
}

function labelsOf({ run, peer, claim }: Whose): readonly string[] {
  const labels = [
    ...(run === undefined ? [] : [`${RUN_LABEL}=${run}`]),
    ...(peer === undefined ? [] : [`${PEER_LABEL}=${peer}`]),
    ...(claim === undefined ? [] : [`${CLAIM_LABEL}=${claim}`]),
  ];
  if (labels.length === 0) throw new TypeError('say whose containers are meant');
  return labels;
}
