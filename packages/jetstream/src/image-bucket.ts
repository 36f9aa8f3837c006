import { type KV, Kvm } from '@nats-io/kv';
import { decodeJson } from './json-codec.ts';
import type { MeshConnection } from './mesh-connection.ts';
import { asking } from './port-error.ts';
import { readStream } from './stream-reader.ts';
import { IMAGE_BUCKET, IMAGE_STREAM } from './subjects.ts';

const DELETED = 'KV-Operation';

/** The bucket of images: what tags mean, and which manifests repositories have. */
export class ImageBucket {
  readonly kv: Promise<KV>;
  readonly #mesh: MeshConnection;

  constructor(mesh: MeshConnection) {
    this.#mesh = mesh;
    this.kv = new Kvm(mesh.js).open(IMAGE_BUCKET);
    // Whoever asks meets the failure.
    this.kv.catch(() => undefined);
  }

  /** Read by the leader. */
  async find<T extends object>(key: string): Promise<T | undefined> {
    const bucket = await this.kv;
    const entry = await asking(`read image ${key}`, () => bucket.get(key));
    if (entry === null || entry.operation !== 'PUT') return undefined;
    return decodeJson<T>(entry.value, `${IMAGE_BUCKET} ${key}`);
  }

  /** The newest value of each subject that was not removed, however many there are. */
  async list<T extends object>(subjects: string): Promise<ReadonlyMap<string, T>> {
    const found = new Map<string, T>();
    const options = {
      stream: IMAGE_STREAM,
      filters: [subjects],
      after: 0,
      until: 'end' as const,
      lastPerSubject: true,
    };
    for await (const batch of readStream(this.#mesh, options)) {
      for (const { message } of batch) {
        const { subject, data, headers } = message;
        if ((headers?.get(DELETED) ?? '') !== '') found.delete(subject);
        else found.set(subject, decodeJson<T>(data, subject));
      }
    }
    return found;
  }
}
