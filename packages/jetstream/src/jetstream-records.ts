import { type KV, type KvEntry, Kvm } from '@nats-io/kv';
import { coreSubscription } from './core-subscription.ts';
import { decodeJson, encodeJson } from './json-codec.ts';
import type { MeshConnection } from './mesh-connection.ts';
import { asking } from './port-error.ts';
import { readStream } from './stream-reader.ts';
import {
  bucketSubjects,
  INVITATION_BUCKET,
  MEMBER_BUCKET,
  MEMBER_HINTS,
  SEEN_BUCKET,
  streamOfBucket,
} from './subjects.ts';
import { untilAnswered } from './until-answered.ts';
import { isWrongSequence } from './wrong-sequence.ts';

/** A record as it was read; who changes it says which one it was. */
export interface Versioned<T> {
  readonly value: T;
  readonly revision: number;
}

/** Longer than elections take. */
const WRITE_MS = 20_000;

/** Small JSON records by key in a bucket, each changed by one writer at a time: whoever comes second reads again. */
export class JetStreamRecords<T extends object> {
  readonly #mesh: MeshConnection;
  readonly #bucket: string;
  #opened: Promise<KV> | undefined;

  private constructor(mesh: MeshConnection, bucket: string) {
    this.#mesh = mesh;
    this.#bucket = bucket;
  }

  static invitations<T extends object>(mesh: MeshConnection): JetStreamRecords<T> {
    return new JetStreamRecords<T>(mesh, INVITATION_BUCKET);
  }

  static members<T extends object>(mesh: MeshConnection): JetStreamRecords<T> {
    return new JetStreamRecords<T>(mesh, MEMBER_BUCKET);
  }

  /** Opened when it is needed: most connections never need it. */
  #kv(): Promise<KV> {
    this.#opened ??= new Kvm(this.#mesh.js).open(this.#bucket).catch((error: unknown) => {
      this.#opened = undefined;
      throw error;
    });
    return this.#opened;
  }

  async find(key: string): Promise<Versioned<T> | undefined> {
    const kv = await this.#kv();
    const entry = await asking(`read ${key}`, () => kv.get(key));
    if (entry === null || entry.operation !== 'PUT') return undefined;
    const value = decodeJson<T>(entry.value, `${this.#bucket} ${key}`);
    return { value, revision: entry.revision };
  }

  /**
   * False where there is one, or another writer was faster; `revision` 0: there is none yet. Asked again while nobody
   * answers, as where a leader is elected: the write before may have landed, and is known by its bytes then.
   */
  async write(key: string, value: T, revision: number): Promise<boolean> {
    const kv = await this.#kv();
    const bytes = encodeJson(value);
    let isRepeated = false;
    const put = async (): Promise<boolean> => {
      try {
        await kv.put(key, bytes, { previousSeq: revision });
        return true;
      } catch (error) {
        if (isWrongSequence(error)) return isRepeated && isSame(await kv.get(key), bytes);
        isRepeated = true;
        throw error;
      }
    };
    return untilAnswered(`write ${key}`, put, WRITE_MS);
  }

  async list(): Promise<readonly T[]> {
    const found = new Map<string, T>();
    const options = {
      stream: streamOfBucket(this.#bucket),
      filters: [bucketSubjects(this.#bucket)],
      after: 0,
      until: 'end' as const,
      lastPerSubject: true,
    };
    for await (const batch of readStream(this.#mesh, options))
      for (const { message } of batch) {
        if (message.data.length === 0) found.delete(message.subject);
        else found.set(message.subject, decodeJson<T>(message.data, message.subject));
      }
    return [...found.values()];
  }
}

const isSame = (entry: KvEntry | null, bytes: Uint8Array): boolean =>
  entry?.operation === 'PUT' && Buffer.compare(entry.value, bytes) === 0;

/** Yields after each change of who is a member, and after a time in which one may have been missed. */
export async function* memberHints(
  mesh: MeshConnection,
  signal: AbortSignal,
): AsyncGenerator<void> {
  for await (const _ of coreSubscription(mesh, MEMBER_HINTS, signal)) yield;
}

/** Says that this member is there. The server's clock is what is read of it. */
export async function noteSeen(mesh: MeshConnection, member: string): Promise<void> {
  await asking('say that we are here', async () => {
    const kv = await new Kvm(mesh.js).open(SEEN_BUCKET, { bindOnly: true });
    await kv.put(member, encodeJson({}));
  });
}

/** When each member said so last, by its name; milliseconds since 1970, of the server. */
export async function lastSeen(mesh: MeshConnection): Promise<ReadonlyMap<string, number>> {
  return asking('read who was there', async () => {
    const seen = new Map<string, number>();
    const subjects = { multi_last: [bucketSubjects(SEEN_BUCKET)] };
    await mesh.untilConnected(0);
    const answers = await mesh.jsm.direct.getLastMessagesFor(streamOfBucket(SEEN_BUCKET), subjects);
    for await (const { subject, time } of answers)
      seen.set(subject.slice(subject.lastIndexOf('.') + 1), time.getTime());
    return seen;
  });
}
