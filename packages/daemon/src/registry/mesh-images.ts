import {
  type ArtifactId,
  type Descriptor,
  type ImageManifest,
  type ImageProblem,
  type ImageTags,
  MANIFEST_BYTES_MAX,
  type ManifestRecord,
  type MeshReference,
  manifestFor,
  meshReferenceText,
  ok,
  type PullProgress,
  parseManifest,
  partsOf,
  type Result,
  refused,
} from '@podmesh/core';
import {
  type BlobStore,
  forEachAtOnce,
  type ImageSource,
  isFetchedElsewhere,
  type ManifestName,
} from '@podmesh/registry';
import { PARTS_FETCHED_MAX } from './image-limits.ts';

export interface MeshImagesParts {
  readonly tags: Pick<ImageTags, 'find'>;
  readonly blobs: Pick<BlobStore, 'bring' | 'read' | 'hold'>;
  /** Asked for what the mesh does not have. */
  readonly mirror?: ImageSource;
}

/** An image of the mesh, as far as its manifest tells. */
export interface MeshImage {
  /** Of the manifest for the platform, not of an index that it was found in. */
  readonly manifest: ArtifactId;
  /** As Podman has it: the digest of the config. */
  readonly image: string;
  readonly parts: readonly Descriptor[];
}

/** What names of the mesh mean on a machine of one architecture, and their bytes on its disk. */
export class MeshImages {
  readonly #parts: MeshImagesParts;

  constructor(parts: MeshImagesParts) {
    this.#parts = parts;
  }

  /** `elsewhere`: also what other registries have, where this peer may ask them. */
  async find(
    reference: MeshReference,
    arch: string,
    signal: AbortSignal,
    elsewhere = false,
  ): Promise<Result<MeshImage, ImageProblem>> {
    const name = meshReferenceText(reference);
    const { repository } = reference;
    const bring = (what: ManifestName): Promise<boolean> =>
      elsewhere
        ? (this.#parts.mirror?.bring(repository, what, signal) ?? Promise.resolve(false))
        : Promise.resolve(false);
    const tag = { kind: 'tag' as const, tag: reference.tag ?? 'latest' };
    let digest = reference.digest ?? (await this.#digestOf(reference));
    if (digest === undefined && (await bring(tag))) digest = await this.#digestOf(reference);
    if (digest === undefined) return refused(unknownTag(name, reference));
    const readOrBring = async (digest: ArtifactId) =>
      (await this.#read(digest, signal)) ??
      ((await bring({ kind: 'digest', digest })) ? await this.#read(digest, signal) : undefined);
    const found = await readOrBring(digest);
    if (found === undefined) return refused(goneManifest(name, digest));
    if (found.config !== undefined) return ok(imageOf(digest, found.config, found));
    const own = manifestFor(found, arch);
    if (own === undefined) return refused(otherPlatforms(name, arch, found));
    const image = await readOrBring(own.digest);
    if (image?.config === undefined) return refused(goneManifest(name, own.digest));
    return ok(imageOf(own.digest, image.config, image));
  }

  /**
   * An image whose manifest is known. Undefined: that is nowhere, or is none of an image, or sends Podman elsewhere for
   * parts: a peer of an older version may have noted such a one.
   */
  async read({ digest }: Pick<ManifestRecord, 'digest'>, signal: AbortSignal) {
    const text = await this.#text(digest, signal);
    if (text === undefined || isFetchedElsewhere(text)) return undefined;
    const found = parseManifest(text, undefined);
    if (!found.ok || found.value.config === undefined) return undefined;
    return imageOf(digest, found.value.config, found.value);
  }

  /**
   * Brings all of it to this disk, each part from whoever has it, and keeps it there until the returned function is
   * called. Of those that nobody has the first is refused.
   */
  async bring(
    name: string,
    { manifest, parts }: MeshImage,
    { progress, signal }: { readonly progress: PullProgress; readonly signal: AbortSignal },
  ): Promise<Result<() => void, ImageProblem>> {
    const release = this.#parts.blobs.hold([manifest, ...parts.map(({ digest }) => digest)]);
    const allBytes = parts.reduce((sum, { bytes }) => sum + bytes, 0);
    let broughtBytes = 0;
    let absent: Descriptor | undefined;
    const say = () => progress(`fetching ${name}: ${mebi(broughtBytes)} of ${mebi(allBytes)} MiB`);
    say();
    try {
      await forEachAtOnce(parts, PARTS_FETCHED_MAX, async (part) => {
        const there = await this.#parts.blobs.bring(part.digest, part.bytes, signal);
        if (there !== part.bytes) absent ??= part;
        broughtBytes += part.bytes;
        say();
      });
    } catch (error) {
      release();
      throw error;
    }
    if (absent === undefined) return ok(release);
    release();
    const message =
      `image ${name} is known to this mesh, but no peer that can be reached has its part ${absent.digest} ` +
      `(${mebi(absent.bytes)} MiB). Wait for the peer it was pushed to, or push it again`;
    return refused({ kind: 'unavailable', message });
  }

  async #digestOf({ repository, tag = 'latest' }: MeshReference): Promise<ArtifactId | undefined> {
    return (await this.#parts.tags.find(repository, tag))?.digest;
  }

  async #read(digest: ArtifactId, signal: AbortSignal): Promise<ImageManifest | undefined> {
    const text = await this.#text(digest, signal);
    const parsed = text === undefined ? undefined : parseManifest(text, undefined);
    return parsed?.ok === true ? parsed.value : undefined;
  }

  async #text(digest: ArtifactId, signal: AbortSignal): Promise<string | undefined> {
    const { blobs } = this.#parts;
    const bytes = await blobs.bring(digest, undefined, signal);
    if (bytes === undefined || bytes > MANIFEST_BYTES_MAX) return undefined;
    const pieces: Uint8Array[] = [];
    for await (const piece of blobs.read(digest, { start: 0, end: bytes })) pieces.push(piece);
    return Buffer.concat(pieces).toString('utf8');
  }
}

function imageOf(manifest: ArtifactId, config: Descriptor, found: ImageManifest): MeshImage {
  return { manifest, image: config.digest, parts: partsOf(found) };
}

function unknownTag(name: string, { repository, tag }: MeshReference): ImageProblem {
  const message =
    `this mesh has no image ${name}. Push it to a peer, on the machine that has it: ` +
    `podman push localhost:PORT/${repository}:${tag} (podmesh up says which port)`;
  return { kind: 'unavailable', message };
}

function goneManifest(name: string, digest: ArtifactId): ImageProblem {
  const message =
    `image ${name} is known to this mesh, but no peer that can be reached has its manifest ${digest}. ` +
    'Wait for the peer it was pushed to, or push it again';
  return { kind: 'unavailable', message };
}

function otherPlatforms(name: string, arch: string, { manifests }: ImageManifest): ImageProblem {
  const known = manifests.flatMap(({ platform }) =>
    platform === undefined ? [] : [`${platform.os}/${platform.architecture}`],
  );
  const message =
    `image ${name} is for ${known.slice(0, 10).join(', ') || 'no platform'}, and this machine is linux/${arch}. ` +
    `Push it for that too, or let the job ask for such a machine (needs.arch)`;
  return { kind: 'platform', message };
}

const mebi = (bytes: number): string => (bytes / 2 ** 20).toFixed(bytes < 2 ** 20 ? 1 : 0);
