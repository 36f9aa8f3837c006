import { createHash } from 'node:crypto';
import {
  type ArtifactId,
  artifactId,
  type Descriptor,
  type ImageManifest,
  isTag,
  MANIFEST_BYTES_MAX,
  type ManifestRecord,
  parseManifest,
  partsOf,
} from '@podmesh/core';
import type { Exchange } from './exchange.ts';
import { forEachAtOnce } from './for-each-at-once.ts';
import { UpstreamError } from './mirror/upstream-registry.ts';
import { RegistryError } from './registry-error.ts';
import { PARTS_AT_ONCE_MAX, TAGS_PER_PUSH_MAX } from './registry-limits.ts';
import type { RegistryParts } from './registry-parts.ts';
import type { ManifestName } from './route.ts';

type Parts = Omit<RegistryParts, 'onTrouble' | 'nowMs'>;

interface Pushed {
  readonly repository: string;
  readonly record: ManifestRecord;
  readonly manifest: ImageManifest;
  readonly bytes: Buffer;
}

/** Pulling, pushing and removing manifests, and the tags that mean them. */
export class ManifestEndpoint {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** `GET` and `HEAD` */
  async send(repository: string, name: ManifestName, exchange: Exchange): Promise<void> {
    const { blobs } = this.#parts;
    const { digest, mediaType, bytes } = await this.#find(repository, name, exchange.signal);
    const headers = {
      'Content-Type': mediaType,
      'Content-Length': bytes,
      'Docker-Content-Digest': digest,
      ETag: `"${digest}"`,
    };
    const isHead = exchange.method === 'HEAD';
    const { signal } = exchange;
    const there = isHead
      ? await blobs.find(digest, signal)
      : await blobs.bring(digest, bytes, signal);
    if (there !== bytes) {
      const message = `no peer that can be reached has the manifest ${digest}`;
      throw new RegistryError(404, 'MANIFEST_UNKNOWN', message, { detail: { digest } });
    }
    if (isHead) exchange.answer(200, headers);
    else await exchange.stream(200, headers, blobs.read(digest, { start: 0, end: bytes }));
  }

  /** `PUT`: by tag, or by digest with tags as queries. */
  async accept(repository: string, name: ManifestName, exchange: Exchange): Promise<void> {
    const tags = tagsOf(name, exchange.query);
    const bytes = await exchange.text(MANIFEST_BYTES_MAX);
    const digest = artifactId(`sha256:${createHash('sha256').update(bytes).digest('hex')}`);
    if (name.kind === 'digest' && name.digest !== digest) {
      const message = `the manifest is ${digest}, not ${name.digest}; nothing was stored`;
      throw new RegistryError(400, 'DIGEST_INVALID', message, { detail: { digest } });
    }
    const parsed = parseManifest(bytes.toString('utf8'), exchange.header('content-type'));
    if (!parsed.ok) {
      const message = `this is no manifest: ${parsed.error}`;
      throw new RegistryError(400, 'MANIFEST_INVALID', message);
    }
    const { mediaType, subject } = parsed.value;
    const about = subject === undefined ? {} : { subject };
    const record = { digest, mediaType, bytes: bytes.length, ...about };
    const pushed = { repository, record, manifest: parsed.value, bytes };
    await this.#store(pushed, tags, exchange.signal);
    exchange.answer(201, {
      Location: `/v2/${repository}/manifests/${digest}`,
      'Docker-Content-Digest': digest,
      ...(subject === undefined ? {} : { 'OCI-Subject': subject }),
      ...(name.kind === 'digest' && tags.length > 0 ? { 'OCI-Tag': tags.join(', ') } : {}),
    });
  }

  /** `DELETE`: a tag, or a manifest with all its tags. Its bytes are artifacts and go when room is needed. */
  async remove(repository: string, name: ManifestName, exchange: Exchange): Promise<void> {
    const { tags, manifests, onTagsChanged } = this.#parts;
    const { digest } = await this.#find(repository, name);
    if (name.kind === 'tag') {
      await tags.remove(repository, name.tag);
    } else {
      for (const { tag, record } of await tags.list(repository)) {
        if (record.digest === digest) await tags.remove(repository, tag);
      }
      await manifests.remove(repository, digest);
    }
    await onTagsChanged();
    exchange.answer(202);
  }

  /** With a signal also what another registry may have. */
  async #find(
    repository: string,
    name: ManifestName,
    elsewhere?: AbortSignal,
  ): Promise<ManifestRecord> {
    const { tags, manifests } = this.#parts;
    const digest =
      name.kind === 'digest' ? name.digest : (await tags.find(repository, name.tag))?.digest;
    const found = digest === undefined ? undefined : await manifests.find(repository, digest);
    if (found !== undefined) return found;
    const { mirror } = this.#parts;
    const what = name.kind === 'digest' ? `@${name.digest}` : `:${name.tag}`;
    const message = `this mesh has no image ${repository}${what}`;
    const brought = elsewhere === undefined ? false : mirror?.bring(repository, name, elsewhere);
    const isBrought = await Promise.resolve(brought).catch((error: unknown) => {
      // Of 400s clients show the words.
      if (!(error instanceof UpstreamError)) throw error;
      throw new RegistryError(404, 'MANIFEST_UNKNOWN', `${message}, and ${error.message}`);
    });
    if (isBrought === true) return await this.#find(repository, name);
    throw new RegistryError(404, 'MANIFEST_UNKNOWN', message);
  }

  /** Parts first, then the manifest, then its name: what can be found is whole. */
  async #store(pushed: Pushed, tags: readonly string[], signal: AbortSignal): Promise<void> {
    const { blobs, manifests, onTagsChanged } = this.#parts;
    const { repository, record, manifest, bytes } = pushed;
    const wanted = partsOf(manifest);
    const release = blobs.hold([record.digest, ...wanted.map(({ digest }) => digest)]);
    try {
      await this.#requireManifests(repository, manifest.manifests);
      const absent: ArtifactId[] = [];
      await forEachAtOnce(wanted, PARTS_AT_ONCE_MAX, async (part) => {
        if (!(await this.#bringPart(part, signal))) absent.push(part.digest);
      });
      if (absent.length > 0) throw unknownParts(absent);
      await this.#write(bytes);
      await forEachAtOnce([...wanted, record], PARTS_AT_ONCE_MAX, (part) =>
        blobs.share(part.digest, part.bytes),
      );
      await manifests.put(repository, record);
      for (const tag of tags) await this.#tag(repository, tag, record);
      if (tags.length > 0) await onTagsChanged();
    } finally {
      release();
    }
  }

  /** To this peer's disk, also when another has it: here is where it was pushed to. */
  async #bringPart({ digest, bytes }: Descriptor, signal: AbortSignal): Promise<boolean> {
    const there = await this.#parts.blobs.bring(digest, bytes, signal);
    if (there === undefined || there === bytes) return there !== undefined;
    const message = `the manifest says that ${digest} has ${bytes} bytes, and it has ${there}`;
    throw new RegistryError(400, 'MANIFEST_INVALID', message);
  }

  async #requireManifests(repository: string, parts: readonly Descriptor[]): Promise<void> {
    const absent: ArtifactId[] = [];
    await forEachAtOnce(parts, PARTS_AT_ONCE_MAX, async ({ digest }) => {
      if ((await this.#parts.manifests.find(repository, digest)) === undefined) absent.push(digest);
    });
    if (absent.length > 0) throw unknownParts(absent);
  }

  async #write(bytes: Buffer): Promise<void> {
    const upload = await this.#parts.blobs.beginUpload();
    try {
      await upload.write(bytes);
      await upload.commit();
    } finally {
      await upload.discard();
    }
  }

  async #tag(repository: string, tag: string, record: ManifestRecord): Promise<void> {
    const { digest, mediaType, bytes } = record;
    await this.#parts.tags.set(repository, tag, { digest, mediaType, bytes, by: this.#parts.peer });
  }
}

function tagsOf(name: ManifestName, query: URLSearchParams): readonly string[] {
  if (name.kind === 'tag') return [name.tag];
  const tags = [...new Set(query.getAll('tag'))];
  if (tags.length > TAGS_PER_PUSH_MAX)
    throw new RegistryError(414, 'UNSUPPORTED', `at most ${TAGS_PER_PUSH_MAX} tags at once`);
  const wrong = tags.find((tag) => !isTag(tag));
  if (wrong === undefined) return tags;
  const shown = JSON.stringify(wrong.slice(0, 200));
  throw new RegistryError(400, 'MANIFEST_INVALID', `${shown} cannot be a tag`);
}

function unknownParts(digests: readonly ArtifactId[]): RegistryError {
  const message = `the manifest names what no peer that can be reached has: ${digests.slice(0, 5).join(', ')}`;
  return new RegistryError(400, 'MANIFEST_BLOB_UNKNOWN', message, {
    detail: { digests: digests.slice(0, 100) },
  });
}
