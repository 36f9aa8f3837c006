import type { Mesh } from '@podmesh/jetstream';
import type { OpenedRuntime } from '@podmesh/podman';
import { ImageMirror, UpstreamRegistry } from '@podmesh/registry';
import { systemClock } from '@podmesh/transfer';
import type { DaemonParts } from '../daemon-parts.ts';
import type { StartedParts } from '../started-parts.ts';
import type { DiskStore } from '../store/disk-store.ts';
import type { BulkExchange } from '../transfer/bulk-exchange.ts';
import { ArchiveParts } from './archive-parts.ts';
import { ArtifactBlobs } from './artifact-blobs.ts';
import { ImageRegistry } from './image-registry.ts';
import { JobImages } from './job-images.ts';
import { MeshImageRuntime } from './mesh-image-runtime.ts';
import { MeshImages } from './mesh-images.ts';
import { ServedManifests } from './served-manifests.ts';

export interface ImagesPlace {
  readonly store: DiskStore;
  readonly exchange: BulkExchange;
  readonly podman: Pick<OpenedRuntime, 'runtime' | 'localLayers'>;
  readonly arch: string;
}

/** Images without a registry: this peer's part of it, and the runtime for which they are like all others. */
export async function openImages(
  parts: DaemonParts,
  started: StartedParts,
  mesh: Mesh,
  { store, exchange, podman, arch }: ImagesPlace,
) {
  const { configuration, logger, peer } = parts;
  const { artifacts, finder } = mesh;
  const fromPeers = exchange.transfers;
  const blobs = new ArtifactBlobs({ store, artifacts, finder, fromPeers });
  const mirror = mirrorOf(parts, mesh, blobs);
  const served = new ServedManifests(mesh.imageManifests);
  const registry = new ImageRegistry({
    ...mirror,
    peer,
    mesh: { imageTags: mesh.imageTags, imageManifests: served },
    store,
    blobs,
    clock: systemClock,
    logger,
    env: process.env,
    port: configuration.registryPort,
  });
  started.add('image registry', () => registry.stop());
  await registry.start();
  const images = new MeshImages({ tags: mesh.imageTags, blobs, ...mirror });
  const port = () => registry.port;
  const { runtime: inner, localLayers } = podman;
  const { mirrors } = configuration;
  const runtime = new MeshImageRuntime({ runtime: inner, images, arch, mirrors, port });
  const archives = new JobImages({
    archives: new ArchiveParts(store, blobs),
    archived: mesh.archivedImages,
    images,
    blobs,
    store,
    served,
    runtime: inner,
    localLayers,
    port,
    logger,
  });
  return { registry, runtime, archives };
}

/** Nothing where the owner of this machine named no registry: then none is ever asked. */
function mirrorOf({ configuration, peer }: DaemonParts, mesh: Mesh, blobs: ArtifactBlobs) {
  const { mirrors } = configuration;
  if (mirrors.length === 0) return {};
  const { imageTags: tags, imageManifests: manifests, mirrorClaims: claims } = mesh;
  const upstream = new UpstreamRegistry();
  const clock = systemClock;
  const parts = { peer, mirrors, upstream, claims, blobs, tags, manifests, clock };
  return { mirror: new ImageMirror(parts) };
}
