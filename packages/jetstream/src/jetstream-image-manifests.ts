import type { ArtifactId, ImageManifests, ManifestRecord } from '@podmesh/core';
import { ImageBucket } from './image-bucket.ts';
import { encodeJson } from './json-codec.ts';
import type { MeshConnection } from './mesh-connection.ts';
import { asking } from './port-error.ts';
import { manifestKey, manifestSubjects } from './subjects.ts';

/** The manifests of repositories, in the same bucket as the tags. */
export class JetStreamImageManifests implements ImageManifests {
  readonly #bucket: ImageBucket;

  constructor(mesh: MeshConnection) {
    this.#bucket = new ImageBucket(mesh);
  }

  find(repository: string, digest: ArtifactId): Promise<ManifestRecord | undefined> {
    return this.#bucket.find<ManifestRecord>(manifestKey(repository, digest));
  }

  async list(repository: string): Promise<readonly ManifestRecord[]> {
    return [...(await this.#bucket.list<ManifestRecord>(manifestSubjects(repository))).values()];
  }

  async put(repository: string, record: ManifestRecord): Promise<void> {
    const kv = await this.#bucket.kv;
    await asking(`record manifest ${record.digest}`, () =>
      kv.put(manifestKey(repository, record.digest), encodeJson(record)),
    );
  }

  async remove(repository: string, digest: ArtifactId): Promise<void> {
    const kv = await this.#bucket.kv;
    await asking(`remove manifest ${digest}`, () => kv.delete(manifestKey(repository, digest)));
  }
}
