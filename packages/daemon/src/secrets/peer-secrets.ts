import type { KeyObject } from 'node:crypto';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type BoxQuestion,
  type Offer,
  type PeerDirectory,
  type PeerId,
  type RunId,
  type RunLog,
  SECRET_BYTES_MAX,
  type SecretBoxes,
  SecretMissingError,
  type SecretRef,
  type SecretValues,
} from '@podmesh/core';
import { openBox, sealBox } from '@podmesh/jetstream';

/** Values of so many runs are remembered; of others their box is opened again. */
const RUNS_REMEMBERED_MAX = 16;
/** A peer gives documents only what its owner gave this beginning. */
const VARIABLE = 'PODMESH_SECRET_';

export interface PeerSecretsParts {
  readonly boxes: SecretBoxes;
  readonly log: Pick<RunLog, 'lastOfTask' | 'isOver'>;
  readonly peers: Pick<PeerDirectory, 'find'>;
  readonly peer: PeerId;
  readonly key: KeyObject;
  readonly env: NodeJS.ProcessEnv;
  /** The directory of the secret files of this peer's owner. */
  readonly directory: string;
}

/** Secret values, from the publisher of a run or the owner of this peer; never written anywhere here. */
export class PeerSecrets {
  readonly #parts: PeerSecretsParts;
  readonly #runs = new Map<RunId, SecretValues>();

  constructor(parts: PeerSecretsParts) {
    this.#parts = parts;
  }

  /** All that an offer names; throws `SecretMissingError`, or a retryable error while the mesh is away. */
  async valuesOf(
    { run, task, secretRefs = {} }: Pick<Offer, 'run' | 'task' | 'secretRefs'>,
    signal: AbortSignal,
  ): Promise<SecretValues> {
    const values = new Map<string, Uint8Array>();
    for (const [name, ref] of Object.entries(secretRefs)) {
      const value =
        ref.from === 'peer'
          ? await this.#own(name, ref)
          : (await this.#ofPublisher({ run, task }, name, signal)).get(name);
      if (value === undefined)
        throw this.#missing(name, 'it is not among those that the publisher sealed');
      values.set(name, value);
    }
    return values;
  }

  /**
   * A box for a peer that came after the run was published. It has to be in the directory, with its key, and to have
   * an open attempt of the run, so that only who was given work is given its secrets.
   */
  async give({ run, task, peer }: BoxQuestion): Promise<string | undefined> {
    const { log, peers } = this.#parts;
    if (peer === this.#parts.peer) return undefined;
    const values = this.#runs.get(run) ?? (await this.#opened(run));
    if (values === undefined) return undefined;
    const [last, entry] = await Promise.all([log.lastOfTask(run, task), peers.find(peer)]);
    if (last?.event.kind !== 'attempt-started' || last.event.peer !== peer) return undefined;
    if (entry?.sealingKey === undefined) return undefined;
    return sealBox(values, entry.sealingKey, { run, peer });
  }

  async #own(name: string, { env, file }: SecretRef): Promise<Uint8Array> {
    const { directory } = this.#parts;
    if (env !== undefined) {
      const value = this.#parts.env[`${VARIABLE}${env}`];
      if (value) return Buffer.from(value);
      throw this.#missing(
        name,
        `its owner has to start the daemon with the environment variable ${VARIABLE}${env}`,
      );
    }
    try {
      return await readBounded(join(directory, file ?? ''));
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? `: ${error.code}` : '';
      throw this.#missing(
        name,
        `its owner has to put it into ${join(directory, file ?? '')}${code}`,
      );
    }
  }

  async #ofPublisher(
    question: Omit<BoxQuestion, 'peer'>,
    name: string,
    signal: AbortSignal,
  ): Promise<SecretValues> {
    const { run } = question;
    const { boxes, peer, key, log } = this.#parts;
    const known = this.#runs.get(run) ?? (await this.#opened(run));
    if (known !== undefined) return known;
    const box = await boxes.ask({ ...question, peer }, signal);
    const values = box === undefined ? undefined : openBox(box, key, { run, peer });
    if (box === undefined || values === undefined) {
      const why =
        'no peer that has it answered; one that was there when the run was published must be up';
      throw this.#missing(name, why, true);
    }
    // For a later start of this daemon, and so that others may ask it.
    await boxes.put(run, peer, box);
    // Whoever ended the run meanwhile has taken the boxes away before this one came.
    if (await log.isOver(run)) await boxes.discard(run);
    return this.#remember(run, values);
  }

  async #opened(run: RunId): Promise<SecretValues | undefined> {
    const { boxes, peer, key } = this.#parts;
    const box = await boxes.find(run, peer);
    const values = box === undefined ? undefined : openBox(box, key, { run, peer });
    return values && this.#remember(run, values);
  }

  #remember(run: RunId, values: SecretValues): SecretValues {
    this.#runs.delete(run);
    this.#runs.set(run, values);
    const [oldest] = this.#runs.keys();
    if (this.#runs.size > RUNS_REMEMBERED_MAX && oldest !== undefined) this.#runs.delete(oldest);
    return values;
  }

  #missing(name: string, why: string, retryable = false): SecretMissingError {
    return new SecretMissingError(this.#parts.peer, name, why, retryable);
  }
}

async function readBounded(path: string): Promise<Uint8Array> {
  const file = await open(path, 'r');
  try {
    const bytes = Buffer.alloc(SECRET_BYTES_MAX + 1);
    const { bytesRead } = await file.read(bytes, 0, bytes.length, 0);
    if (bytesRead === 0) throw Object.assign(new Error('empty'), { code: 'it is empty' });
    if (bytesRead > SECRET_BYTES_MAX)
      throw Object.assign(new Error('large'), { code: `more than ${SECRET_BYTES_MAX} bytes` });
    return bytes.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}
