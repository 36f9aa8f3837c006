export type { ArtifactDisk, PartialArtifact } from './artifact-disk.ts';
export { AskedThread } from './asked-thread.ts';
export { type ByteRange, parseByteRange } from './byte-range.js';
export {
  BytesThread,
  BytesThreadLostError,
  type FileHash,
  type FollowedFile,
} from './bytes-thread.ts';
export { chunkPlace, countChunks } from './chunk-place.ts';
export { DownloadDisk } from './download-disk.ts';
export { EitherTransport, type TransferWay } from './either-transport.ts';
export { HttpTransport } from './http-transport.ts';
export { bracketed, isLoopback, isWildcard, ownAddresses } from './own-addresses.ts';
export { type PartialState, readPartialState, writePartialState } from './partial-state.ts';
export type { OwnCertificate } from './peer-certificates.js';
export { type ServedStore, ServeThread } from './serve-thread.ts';
export { systemClock } from './system-clock.ts';
export { TransferError } from './transfer-error.ts';
export { TransferTally } from './transfer-tally.ts';
export { Transfers } from './transfers.ts';
