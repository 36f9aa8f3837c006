export { forEachAtOnce } from './for-each-at-once.ts';
export type { BlobRange, BlobStore, BlobUpload, RegistryParts } from './registry-parts.ts';
export { RegistryServer, type RegistryServerOptions } from './registry-server.ts';
