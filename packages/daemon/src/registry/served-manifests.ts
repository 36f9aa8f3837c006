import type { ArtifactId, ImageManifests, ManifestRecord } from '@podmesh/core';

/** Where Podman finds images that jobs left as archives; a name that nobody pushes to. */
export const JOB_IMAGES = 'podmesh/jobs';
/** Manifests that are remembered; Podman asks for one right after it was told of it. */
const SERVED_MAX = 1_000;

/** The manifests of repositories, and those of images that have no repository: jobs left them, and Podman of this machine wants them. */
export class ServedManifests implements ImageManifests {
  readonly #mesh: ImageManifests;
  readonly #served = new Map<ArtifactId, ManifestRecord>();

  constructor(mesh: ImageManifests) {
    this.#mesh = mesh;
  }

  /** Its name for Podman, behind the host. */
  serve(record: ManifestRecord): string {
    this.#served.delete(record.digest);
    this.#served.set(record.digest, record);
    for (const digest of this.#served.keys()) {
      if (this.#served.size <= SERVED_MAX) break;
      this.#served.delete(digest);
    }
    return `${JOB_IMAGES}@${record.digest}`;
  }

  async find(repository: string, digest: ArtifactId): Promise<ManifestRecord | undefined> {
    const served = repository === JOB_IMAGES ? this.#served.get(digest) : undefined;
    return served ?? (await this.#mesh.find(repository, digest));
  }

  list(repository: string): Promise<readonly ManifestRecord[]> {
    return this.#mesh.list(repository);
  }

  put(repository: string, record: ManifestRecord): Promise<void> {
    return this.#mesh.put(repository, record);
  }

  remove(repository: string, digest: ArtifactId): Promise<void> {
    return this.#mesh.remove(repository, digest);
  }
}
