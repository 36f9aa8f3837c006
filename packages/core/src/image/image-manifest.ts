import { type ArtifactId, artifactId, isDigest } from '../words/ids.ts';
import { ok, type Result, refused } from '../words/result.ts';

/** Descriptors of one manifest: beyond any image, and short of what would tie a peer up. */
export const DESCRIPTORS_PER_MANIFEST_MAX = 10_000;
/** Bytes of one manifest; the specification wants at least this. */
export const MANIFEST_BYTES_MAX = 4 * 1024 * 1024;

export const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
export const OCI_INDEX = 'application/vnd.oci.image.index.v1+json';
export const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json';
export const DOCKER_LIST = 'application/vnd.docker.distribution.manifest.list.v2+json';

/** A part of an image, as its manifest names it (OCI image specification, "descriptor"). */
export interface Descriptor {
  readonly digest: ArtifactId;
  readonly bytes: number;
  readonly mediaType: string;
  readonly platform?: { readonly os: string; readonly architecture: string };
}

/** What of a manifest matters to who stores and runs it. */
export interface ImageManifest {
  readonly mediaType: string;
  /** Of an image: absent of an index. */
  readonly config?: Descriptor;
  readonly layers: readonly Descriptor[];
  /** Of an index. */
  readonly manifests: readonly Descriptor[];
  readonly subject?: ArtifactId;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

/**
 * Reads a manifest or an index, of OCI or of Docker's second schema. `contentType`: what it was sent or recorded as. What is
 * wrong with it is a sentence. Layers that are fetched from elsewhere by design (with `urls`) are left out.
 */
export function parseManifest(
  text: string,
  contentType: string | undefined,
): Result<ImageManifest, string> {
  const said = readObject(text);
  if (said === undefined) return refused('it is not a JSON object');
  if (said.schemaVersion !== 2) return refused('its schemaVersion is not 2');
  const mediaType = mediaTypeOf(said, contentType);
  if (!mediaType.ok) return mediaType;
  const problems: string[] = [];
  const list = (name: 'layers' | 'manifests' | 'blobs'): readonly Descriptor[] => {
    const items = said[name] ?? [];
    if (!Array.isArray(items) || items.length > DESCRIPTORS_PER_MANIFEST_MAX) {
      problems.push(`its ${name} are not a list of at most ${DESCRIPTORS_PER_MANIFEST_MAX}`);
      return [];
    }
    return items.flatMap((item: unknown) =>
      hasUrls(item) ? [] : (readDescriptor(item, name, problems) ?? []),
    );
  };
  const config =
    said.config === undefined ? undefined : readDescriptor(said.config, 'config', problems);
  const subject =
    said.subject === undefined ? undefined : readDescriptor(said.subject, 'subject', problems);
  const [layers, manifests] = [[...list('layers'), ...list('blobs')], list('manifests')];
  const [problem] = problems;
  if (problem !== undefined) return refused(problem);
  const annotations = readAnnotations(said.annotations);
  const { artifactType } = said;
  return ok({
    mediaType: mediaType.value,
    layers,
    manifests,
    ...(config === undefined ? {} : { config }),
    ...(subject === undefined ? {} : { subject: subject.digest }),
    ...(typeof artifactType === 'string' && artifactType !== '' ? { artifactType } : {}),
    ...(annotations === undefined ? {} : { annotations }),
  });
}

/** Of an index, the image for that platform; undefined: it has none. */
export function manifestFor({ manifests }: ImageManifest, arch: string): Descriptor | undefined {
  return manifests.find(
    ({ platform }) => platform?.os === 'linux' && platform.architecture === arch,
  );
}

/** Everything that has to be there for the manifest to be of use; each once. */
export function partsOf({ config, layers }: ImageManifest): readonly Descriptor[] {
  const all = [...(config === undefined ? [] : [config]), ...layers];
  return [...new Map(all.map((part) => [part.digest, part])).values()];
}

function mediaTypeOf(
  said: Record<string, unknown>,
  contentType: string | undefined,
): Result<string, string> {
  // Parameters are to be ignored.
  const sent = contentType?.split(';')[0]?.trim();
  const { mediaType } = said;
  if (mediaType !== undefined && typeof mediaType !== 'string')
    return refused('its mediaType is not a text');
  if (sent && mediaType && sent !== mediaType)
    return refused(`it was sent as ${sent}, and says that it is ${mediaType}`);
  const guessed = 'manifests' in said ? OCI_INDEX : OCI_MANIFEST;
  const found = mediaType || sent || guessed;
  if (found.length > 255 || !/^[\w.+-]+\/[\w.+-]+$/.test(found))
    return refused('its media type is none');
  const isIndex = found === OCI_INDEX || found === DOCKER_LIST;
  const isImage = found === OCI_MANIFEST || found === DOCKER_MANIFEST;
  if (isIndex && !Array.isArray(said.manifests))
    return refused('it is an index without a list of manifests');
  if (isImage && said.config === undefined) return refused('it is an image without a config');
  return ok(found);
}

function readObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isObject ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function readDescriptor(item: unknown, where: string, problems: string[]): Descriptor | undefined {
  const { digest, size, mediaType, platform } = Object(item) as Record<string, unknown>;
  if (typeof digest !== 'string' || !isDigest(digest)) {
    // Nested a million times over, anything but a text cannot be written out.
    const found = typeof digest === 'string' ? JSON.stringify(digest.slice(0, 100)) : typeof digest;
    problems.push(`its ${where} name no sha256 digest: ${found}`);
    return undefined;
  }
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
    problems.push(`the size of ${digest} is not a number of bytes`);
    return undefined;
  }
  const { os, architecture } = Object(platform) as Record<string, unknown>;
  const isPlatform = typeof os === 'string' && typeof architecture === 'string';
  return {
    digest: artifactId(digest),
    bytes: size,
    mediaType: typeof mediaType === 'string' ? mediaType : '',
    ...(isPlatform ? { platform: { os, architecture } } : {}),
  };
}

function hasUrls(item: unknown): boolean {
  const { urls } = Object(item) as { urls?: unknown };
  return Array.isArray(urls) && urls.length > 0;
}

function readAnnotations(said: unknown): Readonly<Record<string, string>> | undefined {
  if (typeof said !== 'object' || said === null) return undefined;
  const texts = Object.entries(said).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string',
  );
  return texts.length === 0 ? undefined : Object.fromEntries(texts);
}
