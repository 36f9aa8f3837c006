import type {
  ArchivedImages,
  ArtifactId,
  ImageManifests,
  ImageTags,
  ManifestRecord,
  MirrorClaim,
  MirrorClaims,
  NamedTag,
  PeerId,
  TagChange,
  TagRecord,
} from '@podmesh/core';
import type { FakeProcess } from '../process/fake-process.ts';

interface TagLine {
  readonly repository: string;
  readonly tag: string;
  readonly changes: TagChange[];
}

/** The bucket of images: tags with their history, and manifests by repository. */
export class ImageServer {
  readonly tags = new Map<string, TagLine>();
  readonly manifests = new Map<string, Map<ArtifactId, string>>();
  readonly archived = new Map<ArtifactId, string>();
  readonly claims = new Map<string, number>();
  private revision = 0;
  private readonly nowMs: () => number;

  constructor(nowMs: () => number) {
    this.nowMs = nowMs;
  }

  change(repository: string, tag: string, record: TagRecord | undefined): number {
    const key = `${repository}:${tag}`;
    const line = this.tags.get(key) ?? { repository, tag, changes: [] };
    this.tags.set(key, line);
    this.revision += 1;
    const { revision } = this;
    const at = new Date(this.nowMs()).toISOString();
    line.changes.push({ ...(record === undefined ? {} : { record }), revision, at });
    return revision;
  }

  claim(image: string): number {
    this.revision += 1;
    this.claims.set(image, this.revision);
    return this.revision;
  }

  changesOf(repository: string, tag: string): readonly TagChange[] {
    return this.tags.get(`${repository}:${tag}`)?.changes ?? [];
  }
}

/** The tags as one process sees them. */
export class FakeImageTags implements ImageTags {
  private readonly process: FakeProcess;
  private readonly server: ImageServer;

  constructor(process: FakeProcess, server: ImageServer) {
    this.process = process;
    this.server = server;
  }

  find(repository: string, tag: string): Promise<TagRecord | undefined> {
    return this.process.call(
      `tags.find ${repository}:${tag}`,
      () => this.server.changesOf(repository, tag).at(-1)?.record,
    );
  }

  list(repository?: string): Promise<readonly NamedTag[]> {
    return this.process.call('tags.list', () =>
      [...this.server.tags.values()].flatMap((line) => {
        const record = line.changes.at(-1)?.record;
        const isMeant = repository === undefined || line.repository === repository;
        if (record === undefined || !isMeant) return [];
        return [{ repository: line.repository, tag: line.tag, record }];
      }),
    );
  }

  set(repository: string, tag: string, record: TagRecord): Promise<number> {
    const stored = structuredClone(record);
    return this.process.call(`tags.set ${repository}:${tag}`, () =>
      this.server.change(repository, tag, stored),
    );
  }

  remove(repository: string, tag: string): Promise<void> {
    return this.process.call(`tags.remove ${repository}:${tag}`, () => {
      this.server.change(repository, tag, undefined);
    });
  }

  history(repository: string, tag: string): Promise<readonly TagChange[]> {
    return this.process.call(`tags.history ${repository}:${tag}`, () => [
      ...this.server.changesOf(repository, tag),
    ]);
  }
}

/** The manifests as one process sees them. */
export class FakeImageManifests implements ImageManifests {
  private readonly process: FakeProcess;
  private readonly server: ImageServer;

  constructor(process: FakeProcess, server: ImageServer) {
    this.process = process;
    this.server = server;
  }

  find(repository: string, digest: ArtifactId): Promise<ManifestRecord | undefined> {
    return this.process.call(`manifests.find ${digest}`, () => {
      const text = this.server.manifests.get(repository)?.get(digest);
      return text === undefined ? undefined : (JSON.parse(text) as ManifestRecord);
    });
  }

  list(repository: string): Promise<readonly ManifestRecord[]> {
    return this.process.call('manifests.list', () =>
      [...(this.server.manifests.get(repository)?.values() ?? [])].map(
        (text) => JSON.parse(text) as ManifestRecord,
      ),
    );
  }

  put(repository: string, record: ManifestRecord): Promise<void> {
    const text = JSON.stringify(record);
    return this.process.call(`manifests.put ${record.digest}`, () => {
      const known = this.server.manifests.get(repository) ?? new Map<ArtifactId, string>();
      this.server.manifests.set(repository, known.set(record.digest, text));
    });
  }

  remove(repository: string, digest: ArtifactId): Promise<void> {
    return this.process.call(`manifests.remove ${digest}`, () => {
      this.server.manifests.get(repository)?.delete(digest);
    });
  }
}

/** What is in archives, as one process knows it. */
export class FakeArchivedImages implements ArchivedImages {
  private readonly process: FakeProcess;
  private readonly server: ImageServer;

  constructor(process: FakeProcess, server: ImageServer) {
    this.process = process;
    this.server = server;
  }

  find(archive: ArtifactId): Promise<ManifestRecord | undefined> {
    return this.process.call(`archives.find ${archive}`, () => {
      const text = this.server.archived.get(archive);
      return text === undefined ? undefined : (JSON.parse(text) as ManifestRecord);
    });
  }

  note(archive: ArtifactId, image: ManifestRecord): Promise<void> {
    const text = JSON.stringify(image);
    return this.process.call(`archives.note ${archive}`, () => {
      this.server.archived.set(archive, text);
    });
  }
}

/** Who asks elsewhere, as one process sees it. */
export class FakeMirrorClaims implements MirrorClaims {
  private readonly process: FakeProcess;
  private readonly server: ImageServer;

  constructor(process: FakeProcess, server: ImageServer) {
    this.process = process;
    this.server = server;
  }

  take(image: string, _peer: PeerId, seen: number | undefined): Promise<MirrorClaim> {
    return this.process.call(`mirror.take ${image}`, () => {
      const now = this.server.claims.get(image);
      if (now === seen) return { kind: 'mine', revision: this.server.claim(image) };
      return { kind: 'others', revision: now ?? 0 };
    });
  }

  release(image: string): Promise<void> {
    return this.process.call(`mirror.release ${image}`, () => {
      this.server.claims.delete(image);
    });
  }
}
