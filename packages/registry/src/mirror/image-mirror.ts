import { createHash } from 'node:crypto';
import {
  type ArtifactId,
  artifactId,
  type Clock,
  type Descriptor,
  type ImageManifests,
  type ImageTags,
  type ManifestRecord,
  type Mirror,
  type MirrorClaims,
  mirrorClaimName,
  type PeerId,
  parseManifest,
  partsOf,
  type UpstreamPlace,
  upstreamOf,
} from '@podmesh/core';
import { forEachAtOnce } from '../for-each-at-once.ts';
import { PARTS_AT_ONCE_MAX } from '../registry-limits.ts';
import type { BlobStore, ImageSource } from '../registry-parts.ts';
import type { ManifestName } from '../route.ts';
import {
  UpstreamError,
  type UpstreamManifest,
  type UpstreamRegistry,
} from './upstream-registry.ts';

/** Who fetches says so this often… */
const RENEW_MS = 4_000;
/** …who waits looks this often… */
const LOOK_MS = 500;
/** …and takes over when nothing was said for so long. */
const PATIENCE_MS = 20_000;

export interface ImageMirrorParts {
  readonly peer: PeerId;
  readonly mirrors: readonly Mirror[];
  readonly upstream: Pick<UpstreamRegistry, 'manifest' | 'blob'>;
  readonly claims: MirrorClaims;
  readonly blobs: BlobStore;
  readonly tags: ImageTags;
  readonly manifests: ImageManifests;
  readonly clock: Clock;
}

/**
 * Brings images of other registries into the mesh, where its owner said which ones may be asked. For each image one peer asks,
 * and all others wait for it; afterwards it is an image of the mesh like one that was pushed.
 */
export class ImageMirror implements ImageSource {
  readonly #parts: ImageMirrorParts;

  constructor(parts: ImageMirrorParts) {
    this.#parts = parts;
  }

  async bring(repository: string, name: ManifestName, signal: AbortSignal): Promise<boolean> {
    const place = upstreamOf(repository, this.#parts.mirrors);
    if (place === undefined) return false;
    const claim = mirrorClaimName(repository, textOf(name));
    const seen = await this.#untilMine(claim, () => this.#isThere(repository, name), signal);
    if (seen === 'there') return true;
    const done = new AbortController();
    const stop = AbortSignal.any([signal, done.signal]);
    const renewing = this.#renew(claim, seen, stop);
    try {
      // Whoever had it before may have come to its end.
      if (await this.#isThere(repository, name)) return true;
      return await this.#fetch(place, repository, name, signal);
    } finally {
      done.abort();
      await renewing;
      await this.#parts.claims.release(claim).catch(() => undefined);
    }
  }

  async #isThere(repository: string, name: ManifestName): Promise<boolean> {
    const { tags, manifests } = this.#parts;
    const digest =
      name.kind === 'digest' ? name.digest : (await tags.find(repository, name.tag))?.digest;
    return digest !== undefined && (await manifests.find(repository, digest)) !== undefined;
  }

  /** The revision of a claim of our own; `there`: whoever had it has brought the image. */
  async #untilMine(
    claim: string,
    isThere: () => Promise<boolean>,
    signal: AbortSignal,
  ): Promise<number | 'there'> {
    const { claims, clock, peer } = this.#parts;
    let seen = { revision: 0, sinceMs: clock.nowMs() };
    for (let over: number | undefined; ; ) {
      signal.throwIfAborted();
      const taken = await claims.take(claim, peer, over);
      if (taken.kind === 'mine') return taken.revision;
      const nowMs = clock.nowMs();
      if (taken.revision !== seen.revision) seen = { revision: taken.revision, sinceMs: nowMs };
      over = nowMs - seen.sinceMs >= PATIENCE_MS ? seen.revision : undefined;
      await clock.sleep(LOOK_MS, signal);
      if (await isThere()) return 'there';
    }
  }

  async #renew(claim: string, from: number, stop: AbortSignal): Promise<void> {
    const { claims, clock, peer } = this.#parts;
    let seen = from;
    while (!stop.aborted) {
      await clock.sleep(RENEW_MS, stop);
      if (stop.aborted) return;
      // Lost, or the mesh is away: somebody else may fetch it as well, which is harmless.
      const taken = await claims.take(claim, peer, seen).catch(() => undefined);
      if (taken?.kind === 'others') return;
      seen = taken?.revision ?? seen;
    }
  }

  /** Parts first, then the manifest, then its name. Of an index the images are fetched as they are asked for. */
  async #fetch(
    place: UpstreamPlace,
    repository: string,
    name: ManifestName,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { blobs, manifests, tags, peer, upstream } = this.#parts;
    const found = await upstream.manifest(place, textOf(name), signal);
    if (found === undefined) return false;
    const { record, parts } = readManifest(place, name, found);
    const release = blobs.hold([record.digest, ...parts.map(({ digest }) => digest)]);
    try {
      await this.#fetchParts(place, parts, signal);
      await this.#store(place, record, [found.bytes]);
      await forEachAtOnce([...parts, record], PARTS_AT_ONCE_MAX, (part) =>
        blobs.share(part.digest, part.bytes),
      );
      await manifests.put(repository, record);
      const { digest, mediaType, bytes } = record;
      if (name.kind === 'tag')
        await tags.set(repository, name.tag, { digest, mediaType, bytes, by: peer });
      return true;
    } finally {
      release();
    }
  }

  /** Nothing of it goes on when this ends, however it ends. */
  async #fetchParts(
    place: UpstreamPlace,
    parts: readonly Descriptor[],
    outer: AbortSignal,
  ): Promise<void> {
    const failed = new AbortController();
    const signal = AbortSignal.any([outer, failed.signal]);
    await forEachAtOnce(parts, PARTS_AT_ONCE_MAX, async (part) => {
      if (signal.aborted) return;
      await this.#part(place, part, signal).catch((error: unknown) => failed.abort(error));
    });
    outer.throwIfAborted();
    failed.signal.throwIfAborted();
  }

  /** What the mesh has of it, from other images too, does not come again. */
  async #part(place: UpstreamPlace, part: Descriptor, signal: AbortSignal): Promise<void> {
    const { blobs, upstream } = this.#parts;
    if ((await blobs.bring(part.digest, part.bytes, signal)) === part.bytes) return;
    await this.#store(place, part, upstream.blob(place, part.digest, signal));
  }

  async #store(
    { host, repository }: UpstreamPlace,
    { digest, bytes }: { readonly digest: ArtifactId; readonly bytes: number },
    source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  ): Promise<void> {
    const upload = await this.#parts.blobs.beginUpload();
    try {
      let written = 0;
      for await (const piece of source) {
        written += piece.length;
        if (written > bytes) break;
        await upload.write(piece);
      }
      const there = upload.digest();
      if (written !== bytes || there !== digest) {
        const what = `part ${digest} of ${host}/${repository}`;
        throw new UpstreamError(what, `${host} sent ${written} bytes with the digest ${there}`);
      }
      await upload.commit();
    } finally {
      await upload.discard();
    }
  }
}

function readManifest(
  { host, repository }: UpstreamPlace,
  name: ManifestName,
  { bytes, contentType }: UpstreamManifest,
): { readonly record: ManifestRecord; readonly parts: readonly Descriptor[] } {
  const what = `${host}/${repository}${name.kind === 'tag' ? ':' : '@'}${textOf(name)}`;
  const digest = artifactId(`sha256:${createHash('sha256').update(bytes).digest('hex')}`);
  if (name.kind === 'digest' && name.digest !== digest)
    throw new UpstreamError(what, `${host} sent a manifest with the digest ${digest}`);
  const parsed = parseManifest(bytes.toString('utf8'), contentType);
  if (!parsed.ok) throw new UpstreamError(what, `${host} sent no manifest: ${parsed.error}`);
  const { mediaType, subject } = parsed.value;
  const about = subject === undefined ? {} : { subject };
  return {
    record: { digest, mediaType, bytes: bytes.length, ...about },
    parts: partsOf(parsed.value),
  };
}

const textOf = (name: ManifestName): string => (name.kind === 'tag' ? name.tag : name.digest);
