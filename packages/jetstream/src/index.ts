export * from './anchors/anchor-book.ts';
export * from './anchors/anchor-orders.ts';
export * from './anchors/cluster-admin.ts';
export type { ClusterPlace } from './anchors/cluster-lines.ts';
export * from './anchors/copy-mesh.ts';
export type { CopiedStream } from './anchors/copy-stream.ts';
export * from './anchors/follow-anchors.ts';
export * from './anchors/gather-streams.ts';
export * from './anchors/greet-server.ts';
export * from './anchors/rescue-cluster.ts';
export { areScaled, scaleStreams } from './anchors/scale-streams.ts';
export { retireServer, untilLedByOthers, untilOnOthers } from './anchors/until-on-others.ts';
export {
  type ArtifactSource,
  digestFile,
  extractArtifact,
  readTree,
  storePath,
} from './artifact-files.ts';
export { answerJoins, askToJoin, type JoinQuestion, NoJoinAnswerError } from './ask-to-join.ts';
export { answerRenewals, askToRenew, type RenewalAsker } from './ask-to-renew.ts';
export { ChangingMember } from './changing-member.ts';
export {
  type ConnectMeshOptions,
  connectMesh,
  dialMesh,
  parseMeshUrl,
  SERVER_VERSION_MIN,
} from './connect-mesh.ts';
export { artifactIdOf, type Digested, DigestStream } from './digest-stream.ts';
export {
  EmbeddedNatsServer,
  type EmbeddedNatsServerOptions,
  type EmbeddedServerEvent,
  type ServerPlace,
} from './embedded-nats-server.ts';
export { referencesIn } from './jetstream-mesh-references.ts';
export { JetStreamPeerDirectory } from './jetstream-peer-directory.ts';
export {
  JetStreamRecords,
  lastSeen,
  memberHints,
  noteSeen,
  type Versioned,
} from './jetstream-records.ts';
export * from './load-graph.ts';
export { MeshArtifacts, type MeshArtifactsParts, wholeFiles } from './mesh-artifacts.ts';
export { type MeshAddress, MeshConnection, type MeshStatus } from './mesh-connection.ts';
export * from './mesh-errors.ts';
export { refuseUnlikePeers } from './mesh-version.ts';
export { findNatsServer, type NatsServerBinary } from './nats-server-binary.ts';
export { freePort, isFree } from './nats-server-files.ts';
export { type Mesh, type OpenMeshOptions, openMesh } from './open-mesh.ts';
export { type DiscoveredFacts, PeerDiscovery } from './peer-discovery.ts';
export { rolePermissions } from './permissions.ts';
export { pushTrust } from './push-trust.ts';
export type { QueueDepths } from './queue-depths.ts';
export type { ReleaseTask } from './release-requests.ts';
export { type BoxAddress, openBox, publicKeyText, sealBox } from './sealed-box.ts';
export { NoServerChainError, readServerChain } from './server-chain.ts';
export type { ServerTrust, TrustedServer } from './server-guard.ts';
export type { LeaseCounts } from './threaded-lease-keeper.ts';
export { LISTING_START, makeTree, parseTree, type TreeArtifact } from './tree-artifact.ts';
export type { EnsureStreamsOptions } from './wanted-streams.ts';
export { watchStandstill } from './watch-standstill.ts';
