import {
  type ArchivedImages,
  type ArtifactId,
  type ContainerRuntime,
  type ImageProblem,
  MANIFEST_BYTES_MAX,
  type ManifestRecord,
  type Result,
  refused,
} from '@podmesh/core';
import { ArchiveProblem, withoutLayers } from '@podmesh/registry';
import type { Logger } from 'pino';
import type { ArchiveWish, ImageArchives } from '../execute/image-archives.ts';
import { DiskFullError } from '../store/disk-full-error.ts';
import type { DiskStore } from '../store/disk-store.ts';
import { onePiece } from '../store/one-piece.ts';
import type { Success } from '../store/run-pins.ts';
import type { PartedImage } from './archive-parts.ts';
import type { ArtifactBlobs } from './artifact-blobs.ts';
import type { MeshImage, MeshImages } from './mesh-images.ts';
import type { ServedManifests } from './served-manifests.ts';

export interface JobImagesParts {
  readonly archives: {
    take(archive: ArtifactId, signal?: AbortSignal): Promise<PartedImage | undefined>;
  };
  readonly archived: ArchivedImages;
  readonly images: Pick<MeshImages, 'read' | 'bring'>;
  readonly blobs: Pick<ArtifactBlobs, 'areAllSomewhere' | 'bring' | 'read'>;
  readonly store: Pick<DiskStore, 'write' | 'has' | 'index' | 'runPins'>;
  readonly served: Pick<ServedManifests, 'serve'>;
  readonly runtime: Pick<ContainerRuntime, 'resolveImage' | 'loadImage'>;
  /** Of the runtime: lengths of its layers, by what they are when they are not compressed. */
  readonly localLayers: () => Promise<ReadonlyMap<string, number>>;
  /** Of this peer's own registry; 0: it has none. */
  readonly port: () => number;
  readonly logger: Logger;
}

/** Archives whose image ids are known without asking. */
const REMEMBERED_MAX = 1_000;
/** Of a digest, where it is only to be recognised. */
const SHOWN = 'sha256:'.length + 12;

type Resolved = Result<string, ImageProblem>;

/**
 * Images that jobs left as archives, by their parts: each is an artifact like those of pushed images, crosses the network
 * once per peer, and not at all where Podman has that layer. The archive stays the truth: whatever is not there any more, or
 * was never taken apart, is made of it again.
 */
export class JobImages implements ImageArchives {
  readonly #parts: JobImagesParts;
  /** Image ids of archives. */
  readonly #ids = new Map<ArtifactId, string>();

  constructor(parts: JobImagesParts) {
    this.#parts = parts;
  }

  async resolve(archive: ArtifactId, wish: ArchiveWish): Promise<Resolved> {
    if (this.#parts.port() === 0) return await this.#byArchive(archive, wish);
    const { store } = this.#parts;
    const here = await this.#inRuntime(archive, wish.signal);
    if (here !== undefined) return here;
    const known = await this.#known(archive);
    // Where the archive itself is, as its maker's or as a copy, nothing has to come from anywhere.
    const isHere = store.index.whole(archive) !== undefined && (await store.has(archive));
    if (known !== undefined && !isHere) {
      const there = await this.#byParts(archive, known, wish);
      if (there !== undefined && isDecided(there)) return there;
    }
    return await this.#byArchive(archive, wish);
  }

  /** Looked at before Podman gets it, also where this peer has no registry to give it the parts. */
  async #byArchive(archive: ArtifactId, wish: ArchiveWish): Promise<Resolved> {
    const { runtime, port } = this.#parts;
    const path = await wish.bring();
    try {
      const image = await this.#takeApart(archive, wish.signal);
      const isPulled = image !== undefined && port() !== 0;
      const resolved = isPulled ? await this.#byParts(archive, image.record, wish) : undefined;
      if (resolved !== undefined && isDecided(resolved)) return resolved;
      return await runtime.loadImage(path, wish.signal);
    } catch (error) {
      if (!(error instanceof ArchiveProblem)) throw error;
      return refused({ kind: 'not-an-image', message: sentence(archive, error) });
    }
  }

  async takeApart(
    archive: ArtifactId,
    of: Success,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const { store, logger } = this.#parts;
    try {
      const image = await this.#takeApart(archive, signal);
      if (image !== undefined) await store.runPins.hold(of, image.parts);
      return undefined;
    } catch (error) {
      if (error instanceof ArchiveProblem) return sentence(archive, error);
      logger.warn({ ...of, archive, err: error }, 'an image archive is not taken apart for now');
      return undefined;
    }
  }

  async #takeApart(archive: ArtifactId, signal: AbortSignal): Promise<PartedImage | undefined> {
    const { archives, archived, logger } = this.#parts;
    const image = await archives.take(archive, signal);
    if (image === undefined) return undefined;
    await archived.note(archive, image.record).catch((error: unknown) => {
      logger.warn({ archive, err: error }, 'cannot tell others what is in an image archive');
    });
    return image;
  }

  /** Of an archive that was resolved before, as long as Podman has its image. */
  async #inRuntime(archive: ArtifactId, signal: AbortSignal): Promise<Resolved | undefined> {
    const id = this.#ids.get(archive);
    if (id === undefined) return undefined;
    const here = await this.#parts.runtime.resolveImage(id, false, signal);
    return here.ok ? here : undefined;
  }

  #remember(archive: ArtifactId, id: string): void {
    this.#ids.delete(archive);
    this.#ids.set(archive, id);
    const [oldest] = this.#ids.keys();
    if (this.#ids.size > REMEMBERED_MAX && oldest !== undefined) this.#ids.delete(oldest);
  }

  /** Where the mesh does not tell, the archive does. */
  async #known(archive: ArtifactId): Promise<ManifestRecord | undefined> {
    const { archived, logger } = this.#parts;
    return await archived.find(archive).catch((error: unknown) => {
      logger.warn({ archive, err: error }, 'cannot ask what is in an image archive');
      return undefined;
    });
  }

  /** Undefined: a part of it is nowhere. */
  async #byParts(
    archive: ArtifactId,
    record: ManifestRecord,
    wish: ArchiveWish,
  ): Promise<Resolved | undefined> {
    const { images, runtime } = this.#parts;
    const image = await images.read(record, wish.signal);
    if (image === undefined) return undefined;
    this.#remember(archive, image.image);
    const here = await runtime.resolveImage(image.image, false, wish.signal);
    if (here.ok || here.error.kind === 'platform') return here;
    const spared = await this.#sparing(archive, record, image, wish);
    if (spared?.ok) return spared;
    return await this.#pull(archive, record, image, wish);
  }

  /**
   * Without the layers that Podman has. Undefined, or a refusal: it turned out to need them. That it cannot be told so, as of
   * documents that nobody can write again, keeps nobody from the whole image.
   */
  async #sparing(
    archive: ArtifactId,
    record: ManifestRecord,
    image: MeshImage,
    wish: ArchiveWish,
  ): Promise<Resolved | undefined> {
    try {
      return await this.#spared(archive, record, image, wish);
    } catch (error) {
      if (wish.signal.aborted || error instanceof DiskFullError) throw error;
      this.#parts.logger.warn({ archive, err: error }, 'cannot spare layers of an image archive');
      return undefined;
    }
  }

  async #spared(
    archive: ArtifactId,
    record: ManifestRecord,
    image: MeshImage,
    wish: ArchiveWish,
  ): Promise<Resolved | undefined> {
    const { store, blobs } = this.#parts;
    const layers = await this.#parts.localLayers();
    const config = image.parts.find(({ digest }) => digest === image.image);
    if (layers.size === 0 || config === undefined) return undefined;
    if (config.bytes > MANIFEST_BYTES_MAX) return undefined;
    if ((await blobs.bring(config.digest, config.bytes, wish.signal)) !== config.bytes)
      return undefined;
    const texts = {
      manifest: await this.#text(record.digest, record.bytes),
      config: await this.#text(config.digest, config.bytes),
    };
    const local = withoutLayers(texts, record.mediaType, layers);
    if (local === undefined) return undefined;
    await store.write(onePiece(local.text), 'copy');
    const parts = image.parts.filter(({ digest }) => !local.spared.has(digest));
    const rest = { manifest: local.record.digest, image: image.image, parts };
    return await this.#pull(archive, local.record, rest, wish);
  }

  async #pull(
    archive: ArtifactId,
    record: ManifestRecord,
    image: MeshImage,
    { progress, signal }: ArchiveWish,
  ): Promise<Resolved | undefined> {
    const { blobs, images, served, runtime, port } = this.#parts;
    // Of what is not whole anywhere nothing has to come: the archive has it all.
    const wanted = image.parts.map(({ digest }) => digest);
    if (!(await blobs.areAllSomewhere(wanted, signal))) return undefined;
    const name = `the image in ${archive.slice(0, SHOWN)}`;
    const brought = await images.bring(name, image, { progress, signal });
    if (!brought.ok) return undefined;
    try {
      const local = `127.0.0.1:${port()}/${served.serve(record)}`;
      return await runtime.resolveImage(local, progress, signal);
    } finally {
      brought.value();
    }
  }

  async #text(artifact: ArtifactId, bytes: number): Promise<string> {
    const pieces: Uint8Array[] = [];
    const all = this.#parts.blobs.read(artifact, { start: 0, end: bytes });
    for await (const piece of all) pieces.push(piece);
    return Buffer.concat(pieces).toString('utf8');
  }
}

/** Of any other answer Podman may still make something of the archive itself. */
const isDecided = (answer: Resolved): boolean => answer.ok || answer.error.kind === 'platform';

const sentence = (archive: ArtifactId, { message }: ArchiveProblem): string =>
  `the image archive ${archive} ${message}`;
