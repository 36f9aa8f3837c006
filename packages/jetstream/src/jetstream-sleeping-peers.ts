import { type KV, Kvm } from '@nats-io/kv';
import type { PeerId, SleepingPeer, SleepingPeers } from '@podmesh/core';
import { decodeJson, encodeJson } from './json-codec.ts';
import { lastMessages } from './last-messages.ts';
import type { MeshConnection } from './mesh-connection.ts';
import { asking } from './port-error.ts';
import { bucketSubjects, SLEEPER_BUCKET, SLEEPER_STREAM, sleeperKey } from './subjects.ts';

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

  async forget(peer: PeerId): Promise<void> {
    const bucket = await this.#opened();
    await asking(`forget that ${peer} sleeps`, () => bucket.delete(sleeperKey(peer)));
  }

  async list(): Promise<readonly SleepingPeer[]> {
    const subjects = [bucketSubjects(SLEEPER_BUCKET)];
    const entries = await lastMessages(this.#mesh, SLEEPER_STREAM, subjects);
    return entries.map(({ subject, data }) => decodeJson<SleepingPeer>(data, subject));
  }

  #opened(): Promise<KV> {
    this.#bucket ??= new Kvm(this.#mesh.js).open(SLEEPER_BUCKET);
    return this.#bucket;
  }
}
