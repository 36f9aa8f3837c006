export { ArchiveProblem } from './archive/archive-problem.ts';
export { COMPRESSION_BYTES, type Compression, compressionOf } from './archive/compression.ts';
export { isFetchedElsewhere } from './archive/fetched-elsewhere.ts';
export {
  type ArchivedImage,
  type ArchivedPart,
  readImageArchive,
} from './archive/image-archive.ts';
export type { SeekableBytes } from './archive/tar-index.ts';
export { type LocalManifest, withoutLayers } from './archive/without-layers.ts';
export { forEachAtOnce } from './for-each-at-once.ts';
export { ImageMirror, type ImageMirrorParts } from './mirror/image-mirror.ts';
export { UpstreamError, UpstreamRegistry } from './mirror/upstream-registry.ts';
export type {
  BlobRange,
  BlobStore,
  BlobUpload,
  ImageSource,
  RegistryParts,
} from './registry-parts.ts';
export { RegistryServer, type RegistryServerOptions } from './registry-server.ts';
export type { ManifestName } from './route.ts';
