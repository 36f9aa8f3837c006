import { createHash } from 'node:crypto';
import {
  type ArtifactId,
  artifactId,
  DESCRIPTORS_PER_MANIFEST_MAX,
  DOCKER_MANIFEST,
  isDigest,
  type ManifestRecord,
  parseManifest,
  partsOf,
} from '@podmesh/core';
import { ARCHIVE_JSON_BYTES_MAX, LINKS_MAX } from './archive-limits.ts';
import { ArchiveProblem } from './archive-problem.ts';
import { COMPRESSION_BYTES, compressionOf } from './compression.ts';
import { isFetchedElsewhere } from './fetched-elsewhere.ts';
import {
  normalized,
  readTarIndex,
  type SeekableBytes,
  shortEnough,
  shown,
  type TarEntry,
  type TarIndex,
} from './tar-index.ts';

const DOCKER_CONFIG = 'application/vnd.docker.container.image.v1+json';
/** Not compressed. */
const DOCKER_LAYER = 'application/vnd.docker.image.rootfs.diff.tar';

/** A part of an image as it stands in an archive. Whoever takes it compares its digest. */
export interface ArchivedPart {
  readonly digest: ArtifactId;
  readonly bytes: number;
  readonly start: number;
}

export interface ArchivedImage {
  readonly record: ManifestRecord;
  /** The manifest itself: of a docker archive it is made here, the same wherever it is made. */
  readonly manifest: Buffer;
  /** The config and the layers, each once. */
  readonly parts: readonly ArchivedPart[];
}

/**
 * What is in an OCI archive or a docker archive, found without reading its layers. Undefined of what may well be an image, but
 * is none that can be taken apart (a list of images, layers that are compressed in a docker archive): Podman may read it.
 * Throws an {@link ArchiveProblem} for what nobody can or may read, or the signal's reason.
 */
export async function readImageArchive(
  source: SeekableBytes,
  signal?: AbortSignal,
): Promise<ArchivedImage | undefined> {
  const stoppable: SeekableBytes = {
    bytes: source.bytes,
    read: async (start, length) => {
      signal?.throwIfAborted();
      return await source.read(start, length);
    },
  };
  try {
    return await readArchive(new Archive(stoppable, await readTarIndex(stoppable)));
  } catch (error) {
    // Documents of a shape that nobody thought of are the fault of who wrote them, and of no peer that reads them.
    const isOfDocuments = error instanceof TypeError || error instanceof RangeError;
    if (isOfDocuments && error !== signal?.reason)
      throw new ArchiveProblem(`cannot be read: ${error.message}`, error);
    throw error;
  }
}

async function readArchive(archive: Archive): Promise<ArchivedImage | undefined> {
  // Podman reads an index wherever there is one, also where it was left to it.
  if (archive.has('oci-layout') || archive.has('index.json')) await archive.refuseElsewhere();
  if (archive.has('oci-layout')) return await readOciArchive(archive);
  if (archive.has('manifest.json')) return await readDockerArchive(archive);
  throw new ArchiveProblem(
    'is no image archive: it has neither an oci-layout nor a manifest.json (write it with ' +
      'podman save --format oci-archive, skopeo copy, or buildah push)',
  );
}

async function readOciArchive(archive: Archive): Promise<ArchivedImage | undefined> {
  const { manifests } = await archive.json('index.json');
  if (!Array.isArray(manifests)) throw new ArchiveProblem('has an index.json without manifests');
  if (manifests.length !== 1)
    throw new ArchiveProblem(`holds ${manifests.length} images, and one is needed`);
  const { digest, mediaType: type }: Record<string, unknown> = Object(manifests[0]);
  if (typeof digest !== 'string' || !isDigest(digest))
    throw new ArchiveProblem('has an index.json that names no manifest by its SHA-256');
  const named = artifactId(digest);
  const bytes = await archive.text(blobName(named), 'manifest');
  const found = digestOf(bytes);
  if (found !== named)
    throw new ArchiveProblem(`is damaged: its manifest ${digest} has the digest ${found}`);
  const parsed = parseManifest(bytes.toString('utf8'), typeof type === 'string' ? type : undefined);
  if (!parsed.ok) throw new ArchiveProblem(`has a manifest that is none: ${parsed.error}`);
  const { mediaType, config } = parsed.value;
  // A list of images for several platforms: Podman takes the one for its machine.
  if (config === undefined) return undefined;
  const parts = partsOf(parsed.value).map((part): ArchivedPart => {
    const what = part.digest === config.digest ? 'config' : 'layer';
    const { start, bytes } = archive.file(blobName(part.digest), what);
    if (bytes === part.bytes) return { digest: part.digest, start, bytes };
    throw new ArchiveProblem(
      `is damaged: its ${what} ${part.digest} has ${bytes} bytes, and its manifest says ${part.bytes}`,
    );
  });
  return { record: { digest: named, mediaType, bytes: bytes.length }, manifest: bytes, parts };
}

/** As `docker save` and `podman save` write it; what a layer's digest is, its config says. */
async function readDockerArchive(archive: Archive): Promise<ArchivedImage | undefined> {
  const images: unknown = await archive.any('manifest.json');
  if (!Array.isArray(images) || images.length !== 1)
    throw new ArchiveProblem(
      Array.isArray(images)
        ? `holds ${images.length} images, and one is needed`
        : 'has a manifest.json that is no list',
    );
  const { Config: configName, Layers: names = [] }: Record<string, unknown> = Object(images[0]);
  if (typeof configName !== 'string')
    throw new ArchiveProblem('has a manifest.json without a config');
  if (!Array.isArray(names) || !names.every((name) => typeof name === 'string'))
    throw new ArchiveProblem('has a manifest.json whose layers are no list of names');
  if (names.length > DESCRIPTORS_PER_MANIFEST_MAX)
    throw new ArchiveProblem(
      `has ${names.length} layers, and ${DESCRIPTORS_PER_MANIFEST_MAX} are the most`,
    );
  const text = await archive.text(configName, 'config');
  const { rootfs }: Record<string, unknown> = Object(parsed(configName, text));
  const { diff_ids: digests = [] }: Record<string, unknown> = Object(rootfs);
  const isSame = Array.isArray(digests) && digests.length === names.length;
  if (!isSame || !digests.every((id) => typeof id === 'string' && isDigest(id)))
    throw new ArchiveProblem(
      `has ${names.length} layers, and a config that does not name so many by their SHA-256`,
    );
  const config = { digest: digestOf(text), ...archive.file(configName, 'config') };
  const layers: ArchivedPart[] = [];
  for (const [i, name] of names.entries()) {
    const place = archive.file(name, 'layer');
    if (await archive.isCompressed(place)) return undefined;
    layers.push({ digest: artifactId(String(digests[i])), ...place });
  }
  const described = (mediaType: string, { digest, bytes }: ArchivedPart) => ({
    mediaType,
    size: bytes,
    digest,
  });
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: DOCKER_MANIFEST,
      config: described(DOCKER_CONFIG, config),
      layers: layers.map((layer) => described(DOCKER_LAYER, layer)),
    }),
  );
  const each = new Map([config, ...layers].map((part) => [part.digest, part]));
  const record = {
    digest: digestOf(manifest),
    mediaType: DOCKER_MANIFEST,
    bytes: manifest.length,
  };
  return { record, manifest, parts: [...each.values()] };
}

/** The entries of an archive by the names that its own documents give them. */
class Archive {
  readonly #source: SeekableBytes;
  readonly #index: TarIndex;

  constructor(source: SeekableBytes, index: TarIndex) {
    this.#source = source;
    this.#index = index;
  }

  has(name: string): boolean {
    return this.#index.entries.has(name);
  }

  /** Any document may be the one that a runtime takes: of several, or in the place of one that cannot be told from another. */
  async refuseElsewhere(): Promise<void> {
    for (const name of this.#index.doubles) this.file(name, 'document');
    for (const [name, entry] of this.#index.entries) {
      if (entry.kind !== 'file' || entry.bytes === 0) continue;
      const begin = (await this.#source.read(entry.start, 1)).toString('latin1');
      if (!'{ \t\r\n'.includes(begin)) continue;
      if (!isFetchedElsewhere((await this.text(name, 'document')).toString('utf8'))) continue;
      throw new ArchiveProblem(
        `has a document ${shown(name)} with "urls": parts that are fetched from elsewhere, and not in it`,
      );
    }
  }

  /** Where the bytes are that the name means, through links within the archive. */
  file(name: string, what: string): { readonly start: number; readonly bytes: number } {
    let at = normalized(shortEnough(name));
    for (let links = 0; links <= LINKS_MAX; links += 1) {
      if (this.#index.doubles.has(at))
        throw new ArchiveProblem(`has ${shown(at)} twice, so that nobody can tell which is meant`);
      const entry: TarEntry | undefined = this.#index.entries.get(at);
      if (entry === undefined || entry.kind === 'other')
        throw new ArchiveProblem(`lacks its ${what} ${shown(name)}`);
      if (entry.kind === 'file') return { start: entry.start, bytes: entry.bytes };
      at = entry.target;
    }
    throw new ArchiveProblem(`has a ${what} ${shown(name)} that links lead to in a circle`);
  }

  async text(name: string, what: string): Promise<Buffer> {
    const { start, bytes } = this.file(name, what);
    if (bytes > ARCHIVE_JSON_BYTES_MAX)
      throw new ArchiveProblem(
        `has a ${what} of ${bytes} bytes, and ${ARCHIVE_JSON_BYTES_MAX} are the most`,
      );
    return await this.#source.read(start, bytes);
  }

  async any(name: string): Promise<unknown> {
    return parsed(name, await this.text(name, 'document'));
  }

  async json(name: string): Promise<Record<string, unknown>> {
    return Object(await this.any(name));
  }

  async isCompressed({ start, bytes }: { start: number; bytes: number }): Promise<boolean> {
    const length = Math.min(bytes, COMPRESSION_BYTES);
    return compressionOf(await this.#source.read(start, length)) !== undefined;
  }
}

function parsed(name: string, text: Buffer): unknown {
  try {
    return JSON.parse(text.toString('utf8'));
  } catch (error) {
    throw new ArchiveProblem(`has a ${shown(name)} that is no JSON`, error);
  }
}

const blobName = (digest: ArtifactId): string => `blobs/${digest.replace(':', '/')}`;

const digestOf = (bytes: Buffer): ArtifactId =>
  artifactId(`sha256:${createHash('sha256').update(bytes).digest('hex')}`);
