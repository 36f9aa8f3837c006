import { PortError } from '../ports.ts';
import type { PeerId, RunId, TaskId } from '../words/ids.ts';
import { type StorePlace, secretsOfPlace } from './store-place.ts';

/** Where the value of a secret comes from; the value itself is in no document. */
export interface SecretRef {
  /** `publisher`: read once by who publishes the run. `peer`: read by each peer that needs it. */
  readonly from: 'publisher' | 'peer';
  /** Exactly one of the two. */
  readonly env?: string;
  readonly file?: string;
}

/** What a task sees of secrets: names of variables, and of files below `/run/secrets`, to names of secrets. */
export interface JobSecrets {
  readonly env: Readonly<Record<string, string>>;
  readonly files: Readonly<Record<string, string>>;
}

/** Where secret files appear in a container. */
export const SECRET_FILES_PATH = '/run/secrets';

/** A peer cannot have a secret; another may. `retryable`: it may come yet. */
export class SecretMissingError extends PortError {
  constructor(peer: PeerId, name: string, why: string, retryable = false) {
    super(`peer ${peer} has no value for the secret ${name}: ${why}`, { retryable });
  }
}

/** All secrets that an attempt needs, by name, each once. */
export function secretsNamed(
  secrets: JobSecrets | undefined,
  places: readonly StorePlace[],
): readonly string[] {
  const own = [...Object.values(secrets?.env ?? {}), ...Object.values(secrets?.files ?? {})];
  return [...new Set([...own, ...places.flatMap(secretsOfPlace)])];
}

/**
 * Sealed secrets of the publisher: for each peer of a run one box that only this peer can open. Boxes are text
 * without any value in clear.
 */
export interface SecretBoxes {
  put(run: RunId, peer: PeerId, box: string): Promise<void>;
  find(run: RunId, peer: PeerId): Promise<string | undefined>;
  /** Takes away all boxes of a run; harmless when there are none. */
  discard(run: RunId): Promise<void>;
  /** Asks the peers that have the run's secrets for a box of our own; undefined: nobody gave one in time. */
  ask(question: BoxQuestion, signal: AbortSignal): Promise<string | undefined>;
  /** Answers such questions until the signal aborts; `undefined` stays silent. */
  answer(
    give: (question: BoxQuestion) => Promise<string | undefined>,
    signal: AbortSignal,
  ): Promise<void>;
}

/** Who needs the secrets of a run. For whom they are sealed is read in the directory of peers, not here. */
export interface BoxQuestion {
  readonly run: RunId;
  /** A task of which the asker has an open attempt. */
  readonly task: TaskId;
  readonly peer: PeerId;
}
