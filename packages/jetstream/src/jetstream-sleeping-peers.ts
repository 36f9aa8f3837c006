import { type KV, Kvm } from '@nats-io/kv';
import {
  type NotedSleeper,
  type PeerId,
  parseSleeper,
  type SleepingPeer,
  type SleepingPeers,
} from '@podmesh/core';
import { encodeJson } from './json-codec.ts';
import { lastMessages } from './last-messages.ts';
import type { MeshConnection } from './mesh-connection.ts';
import { asking } from './port-error.ts';
import {
  bucketSubjects,
  peerOfSleeperSubject,
  SLEEPER_BUCKET,
  SLEEPER_STREAM,
  sleeperKey,
} from './subjects.ts';
import { isWrongSequence } from './wrong-sequence.ts';

/** Sleeping peers in a KV bucket of their own: entries of the peers' directory live for seconds. */
export class JetStreamSleepingPeers implements SleepingPeers {
  readonly #mesh: MeshConnection;
  #bucket: Promise<KV> | undefined;

  constructor(mesh: MeshConnection) {
    this.#mesh = mesh;
  }

  async note(sleeper: SleepingPeer): Promise<void> {
    const bucket = await this.#opened();
    await asking('say good night', () => bucket.put(sleeperKey(sleeper.peer), encodeJson(sleeper)));
  }

  async replace(sleeper: SleepingPeer, revision: number): Promise<boolean> {
    const bucket = await this.#opened();
    return asking(`call ${sleeper.peer}`, async () => {
      try {
        await bucket.update(sleeperKey(sleeper.peer), encodeJson(sleeper), revision);
        return true;
      } catch (error) {
        if (isWrongSequence(error)) return false;
        throw error;
      }
    });
  }

  async forget(peer: PeerId): Promise<void> {
    const bucket = await this.#opened();
    await asking(`forget that ${peer} sleeps`, () => bucket.delete(sleeperKey(peer)));
  }

  async list(): Promise<readonly NotedSleeper[]> {
    const subjects = [bucketSubjects(SLEEPER_BUCKET)];
    const entries = await lastMessages(this.#mesh, SLEEPER_STREAM, subjects);
    return entries.flatMap(({ subject, data, sequence: revision }) => {
      const sleeper = parseSleeper(jsonIn(data), peerOfSleeperSubject(subject));
      return sleeper === undefined ? [] : [{ sleeper, revision }];
    });
  }

  /** A bucket that was not there is looked for again. */
  #opened(): Promise<KV> {
    this.#bucket ??= new Kvm(this.#mesh.js).open(SLEEPER_BUCKET).catch((error: unknown) => {
      this.#bucket = undefined;
      throw error;
    });
    return this.#bucket;
  }
}

/** Undefined for what is none. */
function jsonIn(data: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(data).toString('utf8'));
  } catch {
    return undefined;
  }
}
