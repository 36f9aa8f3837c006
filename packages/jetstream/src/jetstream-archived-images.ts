import { type KV, Kvm } from '@nats-io/kv';
import type { ArchivedImages, ArtifactId, ManifestRecord } from '@podmesh/core';
import { decodeJson, encodeJson } from './json-codec.ts';
import type { MeshConnection } from './mesh-connection.ts';
import { asking } from './port-error.ts';
import { ARCHIVE_BUCKET, archiveKey } from './subjects.ts';

/**
 * What is in image archives, in a KV bucket of its own: what stands in that of images stays for good. Where an older version
 * made the mesh there is no such bucket: it is asked for anew each time, and used from when it is there.
 */
export class JetStreamArchivedImages implements ArchivedImages {
  readonly #mesh: MeshConnection;
  #bucket: Promise<KV> | undefined;

  constructor(mesh: MeshConnection) {
    this.#mesh = mesh;
  }

  async find(archive: ArtifactId): Promise<ManifestRecord | undefined> {
    const bucket = await this.#opened();
    const key = archiveKey(archive);
    const entry = await asking(`look what archive ${archive} holds`, () => bucket.get(key));
    if (entry === null || entry.operation !== 'PUT') return undefined;
    return decodeJson<ManifestRecord>(entry.value, `${ARCHIVE_BUCKET} ${key}`);
  }

  async note(archive: ArtifactId, image: ManifestRecord): Promise<void> {
    const bucket = await this.#opened();
    await asking(`note what archive ${archive} holds`, () =>
      bucket.put(archiveKey(archive), encodeJson(image)),
    );
  }

  #opened(): Promise<KV> {
    this.#bucket ??= new Kvm(this.#mesh.js).open(ARCHIVE_BUCKET).catch((error: unknown) => {
      this.#bucket = undefined;
      throw error;
    });
    return this.#bucket;
  }
}
