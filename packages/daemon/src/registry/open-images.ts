import type { Mesh } from '@podmesh/jetstream';
import { ImageMirror, UpstreamRegistry } from '@podmesh/registry';
import { systemClock } from '@podmesh/transfer';
import type { DaemonParts } from '../daemon-parts.ts';
import type { StartedParts } from '../started-parts.ts';
import type { DiskStore } from '../store/disk-store.ts';
import type { BulkExchange } from '../transfer/bulk-exchange.ts';
import { ArtifactBlobs } from './artifact-blobs.ts';
import { ImageRegistry } from './image-registry.ts';
import { MeshImages } from './mesh-images.ts';

/** Images without a registry: this peer's part of it. Before it, Podman has to be told where it is. */
export async function openImages(
  parts: DaemonParts,
  started: StartedParts,
  mesh: Mesh,
  { store, exchange }: { readonly store: DiskStore; readonly exchange: BulkExchange },
) {
  const { configuration, logger, peer } = parts;
  const { artifacts, finder } = mesh;
  const fromPeers = exchange.transfers;
  const blobs = new ArtifactBlobs({ store, artifacts, finder, fromPeers });
  const mirror = mirrorOf(parts, mesh, blobs);
  const registry = new ImageRegistry({
    ...mirror,
    peer,
    mesh,
    store,
    blobs,
    clock: systemClock,
    logger,
    env: process.env,
    port: configuration.registryPort,
  });
  started.add('image registry', () => registry.stop());
  await registry.start();
  return { registry, images: new MeshImages({ tags: mesh.imageTags, blobs, ...mirror }) };
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
