import { type KV, Kvm } from '@nats-io/kv';
import {
  type NotedSleeper,
  type PeerId,
  parseSleeper,
  SLEEPERS_MAX,
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
  readonly #onUnreadable: (peer: string) => void;
  /** Revision of the note of each peer that could not be read: of one note is told once. */
  readonly #unreadable = new Map<string, number>();
  #bucket: Promise<KV> | undefined;

  /** `onUnreadable` hears of whom a note is that makes no sense, once for each note. */
  constructor(mesh: MeshConnection, onUnreadable: (peer: string) => void = () => undefined) {
    this.#mesh = mesh;
    this.#onUnreadable = onUnreadable;
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
      const peer = peerOfSleeperSubject(subject);
      const sleeper = parseSleeper(jsonIn(data), peer);
      if (sleeper === undefined) this.#skip(peer, revision);
      return sleeper === undefined ? [] : [{ sleeper, revision }];
    });
  }

  #skip(peer: string, revision: number): void {
    if (this.#unreadable.get(peer) === revision) return;
    if (this.#unreadable.size >= SLEEPERS_MAX) this.#unreadable.clear();
    this.#unreadable.set(peer, revision);
    this.#onUnreadable(peer);
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
