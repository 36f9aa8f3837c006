import { createHash } from 'node:crypto';
import {
  type ArtifactId,
  artifactId,
  DOCKER_MANIFEST,
  isDigest,
  type ManifestRecord,
  OCI_MANIFEST,
} from '@podmesh/core';

/** Media types of layers as they are in a runtime's own store: not compressed. */
const PLAIN_LAYER: Readonly<Record<string, string>> = {
  [OCI_MANIFEST]: 'application/vnd.oci.image.layer.v1.tar',
  [DOCKER_MANIFEST]: 'application/vnd.docker.image.rootfs.diff.tar',
};

/** The same image, told so that a runtime takes the layers that it has from its own store. */
export interface LocalManifest {
  readonly record: ManifestRecord;
  readonly text: Buffer;
  /** Digests in the manifest of the layers that nobody needs to send. */
  readonly spared: ReadonlySet<ArtifactId>;
}

/**
 * A runtime knows its layers by what they are when they are not compressed, which the config of an image tells of each; a
 * manifest names them as they are sent. `local`: lengths by the former. Undefined: it has none of them, or the documents do
 * not tell.
 */
export function withoutLayers(
  { manifest, config }: { readonly manifest: string; readonly config: string },
  mediaType: string,
  local: ReadonlyMap<string, number>,
): LocalManifest | undefined {
  const plain = PLAIN_LAYER[mediaType];
  const said = objectIn(manifest);
  const { diff_ids: ids }: Record<string, unknown> = Object(objectIn(config).rootfs);
  const { layers } = said;
  if (plain === undefined || !Array.isArray(layers) || !Array.isArray(ids)) return undefined;
  if (ids.length !== layers.length) return undefined;
  const spared = new Set<ArtifactId>();
  const told = layers.map((layer: unknown, i) => {
    const { digest }: Record<string, unknown> = Object(layer);
    const id: unknown = ids[i];
    const size = typeof id === 'string' ? local.get(id) : undefined;
    if (size === undefined || typeof digest !== 'string' || !isDigest(digest)) return layer;
    spared.add(artifactId(digest));
    return { mediaType: plain, size, digest: id };
  });
  if (spared.size === 0) return undefined;
  const text = Buffer.from(JSON.stringify({ ...said, mediaType, layers: told }));
  const digest = artifactId(`sha256:${createHash('sha256').update(text).digest('hex')}`);
  return { record: { digest, mediaType, bytes: text.length }, text, spared };
}

function objectIn(text: string): Record<string, unknown> {
  try {
    return Object(JSON.parse(text));
  } catch {
    return {};
  }
}
