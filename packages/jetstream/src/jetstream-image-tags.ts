import type { ImageTags, NamedTag, TagChange, TagRecord } from '@podmesh/core';
import { ImageBucket } from './image-bucket.ts';
import { decodeJson, encodeJson } from './json-codec.ts';
import type { MeshConnection } from './mesh-connection.ts';
import { asking } from './port-error.ts';
import { parseTagSubject, tagKey, tagSubjects } from './subjects.ts';

/** Tags in a KV bucket that keeps what they meant before. */
export class JetStreamImageTags implements ImageTags {
  readonly #bucket: ImageBucket;

  constructor(mesh: MeshConnection) {
    this.#bucket = new ImageBucket(mesh);
  }

  find(repository: string, tag: string): Promise<TagRecord | undefined> {
    return this.#bucket.find<TagRecord>(tagKey(repository, tag));
  }

  async list(repository?: string): Promise<readonly NamedTag[]> {
    const found = await this.#bucket.list<TagRecord>(tagSubjects(repository));
    return [...found].map(([subject, record]) => ({ ...parseTagSubject(subject), record }));
  }

  async set(repository: string, tag: string, record: TagRecord): Promise<number> {
    const kv = await this.#bucket.kv;
    return await asking(`set tag ${repository}:${tag}`, () =>
      kv.put(tagKey(repository, tag), encodeJson(record)),
    );
  }

  async remove(repository: string, tag: string): Promise<void> {
    const kv = await this.#bucket.kv;
    await asking(`remove tag ${repository}:${tag}`, () => kv.delete(tagKey(repository, tag)));
  }

  async history(repository: string, tag: string): Promise<readonly TagChange[]> {
    const key = tagKey(repository, tag);
    const kv = await this.#bucket.kv;
    return await asking(`read the history of tag ${repository}:${tag}`, async () => {
      const changes: TagChange[] = [];
      for await (const { operation, value, revision, created } of await kv.history({ key })) {
        const record = operation === 'PUT' ? { record: decodeJson<TagRecord>(value, key) } : {};
        changes.push({ ...record, revision, at: created.toISOString() });
      }
      return changes;
    });
  }
}
