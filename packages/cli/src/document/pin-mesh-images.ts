import {
  type ArtifactId,
  type ArtifactStore,
  type Descriptor,
  type Graph,
  type ImageManifest,
  type ImagePins,
  type ImageTags,
  MANIFEST_BYTES_MAX,
  type MeshReference,
  meshReferenceText,
  PortError,
  parseManifest,
  parseMeshReference,
} from '@podmesh/core';

/** What of a client tags and manifests are read with. */
export interface ImageClient {
  readonly imageTags: Pick<ImageTags, 'find'>;
  readonly artifacts: Pick<ArtifactStore, 'stat' | 'get'>;
}

export interface PinnedMeshImages {
  readonly graph: Graph;
  /** In words, for whoever publishes. */
  readonly problems: readonly string[];
}

/**
 * Writes down which manifest every image of the mesh is now, as a part of its name, and as far as that can be read which
 * image that is on each architecture. `registry`: where the daemon of this machine takes images, `localhost:PORT`:
 * no other machine knows that port, so such names become `mesh/…`.
 */
export async function pinMeshImages(
  client: ImageClient,
  graph: Graph,
  registry?: string,
): Promise<PinnedMeshImages> {
  const port = Number(/:(\d+)$/.exec(registry ?? '')?.[1] ?? Number.NaN);
  const ownPort = Number.isNaN(port) ? undefined : port;
  const known = new Map<string, { readonly reference: string; readonly pins?: ImagePins }>();
  const problems: string[] = [];
  for (const { container } of graph.jobs) {
    if (container.kind !== 'reference' || known.has(container.reference)) continue;
    const named = parseMeshReference(container.reference, ownPort);
    if (named === undefined) continue;
    const digest = named.digest ?? (await digestOf(client, named));
    if (digest === undefined) problems.push(unknownText(container.reference, named, registry));
    const reference = meshReferenceText(digest === undefined ? named : { ...named, digest });
    const pins = digest === undefined ? undefined : await pinsOf(client, digest);
    known.set(container.reference, { reference, ...(pins === undefined ? {} : { pins }) });
  }
  if (known.size === 0) return { graph, problems };
  const jobs = graph.jobs.map((job) => {
    const { container } = job;
    const pinned = container.kind === 'reference' ? known.get(container.reference) : undefined;
    if (container.kind !== 'reference' || pinned === undefined) return job;
    return { ...job, container: { ...container, ...pinned } };
  });
  return { graph: { ...graph, jobs }, problems };
}

/** Whether Podman could not be asked about it: it is the mesh that knows. */
export function isMeshReference(reference: string): boolean {
  return parseMeshReference(reference) !== undefined;
}

async function digestOf(
  client: ImageClient,
  { repository, tag = 'latest' }: MeshReference,
): Promise<ArtifactId | undefined> {
  return (await client.imageTags.find(repository, tag))?.digest;
}

/** Undefined where the manifest cannot be read from here: the peers read it for themselves. */
async function pinsOf(client: ImageClient, digest: ArtifactId): Promise<ImagePins | undefined> {
  const manifest = await readManifest(client, digest);
  if (manifest === undefined) return undefined;
  const found: Record<string, string> = {};
  if (manifest.config !== undefined) {
    const arch = await archOf(client, manifest.config);
    if (arch !== undefined) found[arch] = manifest.config.digest;
  }
  for (const { digest: own, platform } of manifest.manifests) {
    if (platform?.os !== 'linux' || found[platform.architecture] !== undefined) continue;
    const config = (await readManifest(client, own))?.config;
    if (config !== undefined) found[platform.architecture] = config.digest;
  }
  return Object.keys(found).length === 0 ? undefined : found;
}

async function readManifest(
  client: ImageClient,
  digest: ArtifactId,
): Promise<ImageManifest | undefined> {
  const text = await readText(client, digest);
  const parsed = text === undefined ? undefined : parseManifest(text, undefined);
  return parsed?.ok === true ? parsed.value : undefined;
}

async function archOf(client: ImageClient, config: Descriptor): Promise<string | undefined> {
  const text = await readText(client, config.digest);
  try {
    const { architecture, os }: { architecture?: unknown; os?: unknown } = Object(
      JSON.parse(text ?? ''),
    );
    const isArch = typeof architecture === 'string' && /^[a-z0-9]{1,20}$/.test(architecture);
    return isArch && (os === undefined || os === 'linux') ? architecture : undefined;
  } catch {
    return undefined;
  }
}

async function readText(client: ImageClient, digest: ArtifactId): Promise<string | undefined> {
  const bytes = (await client.artifacts.stat([digest])).get(digest)?.bytes;
  if (bytes === undefined || bytes > MANIFEST_BYTES_MAX) return undefined;
  const pieces: Uint8Array[] = [];
  try {
    for await (const piece of client.artifacts.get(digest)) pieces.push(piece);
  } catch (error) {
    if (error instanceof PortError && !error.retryable) return undefined;
    throw error;
  }
  return Buffer.concat(pieces).toString('utf8');
}

function unknownText(said: string, { repository, tag }: MeshReference, registry?: string): string {
  const where = registry ?? 'localhost:PORT';
  return (
    `image ${said} is not in this mesh. Push it to a peer: podman push ${where}/${repository}:${tag}. ` +
    'Peers will look for it when the job is ready, and the run fails with image-unavailable when none finds it'
  );
}
