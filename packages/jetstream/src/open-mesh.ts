import type { Socket } from 'node:net';
import type {
  ArchivedImages,
  ArtifactFinder,
  ArtifactShelf,
  ArtifactStore,
  ChunkSource,
  ChunkTransport,
  DriveQueue,
  ImageManifests,
  ImageTags,
  InputPins,
  LaneDirectory,
  LeaseKeeper,
  LiveLog,
  MemberDirectory,
  MeshReferences,
  MirrorClaims,
  OfferQueue,
  OutputKeepers,
  PeerDirectory,
  PeerId,
  PeerOrders,
  ResultCache,
  Retention,
  RunLog,
  SecretBoxes,
  SleepingPeers,
  TaskQuestions,
} from '@podmesh/core';
import type { GroupAppenderOptions } from './group-appender.ts';
import { JetStreamArchivedImages } from './jetstream-archived-images.ts';
import { JetStreamArtifactFinder } from './jetstream-artifact-finder.ts';
import { JetStreamArtifactShelf } from './jetstream-artifact-shelf.ts';
import { JetStreamArtifactStore } from './jetstream-artifact-store.ts';
import { JetStreamDriveQueue } from './jetstream-drive-queue.ts';
import { JetStreamImageManifests } from './jetstream-image-manifests.ts';
import { JetStreamImageTags } from './jetstream-image-tags.ts';
import { JetStreamInputPins } from './jetstream-input-pins.ts';
import { JetStreamLaneDirectory } from './jetstream-lane-directory.ts';
import { JetStreamLiveLog } from './jetstream-live-log.ts';
import { JetStreamMemberDirectory } from './jetstream-member-directory.ts';
import { JetStreamMeshReferences } from './jetstream-mesh-references.ts';
import { JetStreamMirrorClaims } from './jetstream-mirror-claims.ts';
import { JetStreamOfferQueue } from './jetstream-offer-queue.ts';
import { JetStreamOutputKeepers } from './jetstream-output-keepers.ts';
import { JetStreamPeerDirectory } from './jetstream-peer-directory.ts';
import { JetStreamPeerOrders } from './jetstream-peer-orders.ts';
import { JetStreamResultCache } from './jetstream-result-cache.ts';
import { JetStreamRetention } from './jetstream-retention.ts';
import { JetStreamRunLog } from './jetstream-run-log.ts';
import { JetStreamSecretBoxes } from './jetstream-secret-boxes.ts';
import { JetStreamSleepingPeers } from './jetstream-sleeping-peers.ts';
import { JetStreamTaskQuestions } from './jetstream-task-questions.ts';
import { MeshArtifacts } from './mesh-artifacts.ts';
import type { MeshConnection } from './mesh-connection.ts';
import { type QueueDepths, queueDepths } from './queue-depths.ts';
import { RelayConnection } from './relay-connection.ts';
import { RelaySource } from './relay-source.ts';
import { type RelayOptions, RelayTransport } from './relay-transport.ts';
import { ReleaseRequests, type ReleaseTask } from './release-requests.ts';
import { ServerDoor } from './server-door.ts';
import { type LeaseCounts, ThreadedLeaseKeeper } from './threaded-lease-keeper.ts';

/** All ports of one connection. */
export interface Mesh {
  readonly runLog: RunLog;
  readonly offers: OfferQueue;
  readonly drives: DriveQueue;
  readonly lanes: LaneDirectory;
  readonly peers: PeerDirectory;
  readonly orders: PeerOrders;
  readonly sleepers: SleepingPeers;
  readonly members: MemberDirectory;
  readonly results: ResultCache;
  readonly artifacts: ArtifactStore;
  /** The same, and what only disks of peers have, which comes through the relay. */
  readonly everywhere: ArtifactStore;
  /** What the sweep of the object store works on. */
  readonly shelf: ArtifactShelf;
  readonly references: MeshReferences;
  readonly retention: Retention;
  readonly liveLog: LiveLog;
  /** Its thread starts with the first claim kept. */
  readonly leases: LeaseKeeper;
  /** How the extensions of claims went. */
  leaseCounts(): LeaseCounts;
  readonly finder: ArtifactFinder;
  readonly pins: InputPins;
  readonly boxes: SecretBoxes;
  readonly keepers: OutputKeepers;
  /** What tasks with network ask of their peers. */
  readonly questions: TaskQuestions;
  readonly imageTags: ImageTags;
  readonly imageManifests: ImageManifests;
  readonly archivedImages: ArchivedImages;
  readonly mirrorClaims: MirrorClaims;
  /** Bytes of peers that only the server connects with us; its connection is made when first needed. */
  readonly relay: ChunkTransport;
  /** Messages in the queues of all peers, waiting or claimed. */
  queueDepths(): Promise<QueueDepths>;
  /** Gives the peer's bytes to such others until the signal aborts. */
  serveRelay(peer: PeerId, source: ChunkSource, signal: AbortSignal): Promise<void>;
  /** Writes releases for users, who may not, until the signal aborts. */
  serveReleases(release: ReleaseTask, signal: AbortSignal): Promise<void>;
  /** Lets what a task inside of its container opens through to the server, until the signal aborts. */
  letIn(inside: Socket, signal: AbortSignal): void;
  /** Ends the lease thread and the relay's connection; the connection stays the caller's. Harmless when called twice. */
  stop(): Promise<void>;
}

/** Times are those that tests shorten; each defaults to the constant in core/words/limits.ts. */
export interface OpenMeshOptions {
  readonly leaseMs?: number;
  readonly leaseExtendMs?: number;
  readonly leaseGiveUpMs?: number;
  /** How appends go through outages. */
  readonly appends?: GroupAppenderOptions;
  readonly relay?: RelayOptions;
  /** Hears of whom a note of a sleeper is that cannot be read, once for each. */
  readonly onUnreadableSleeper?: (peer: string) => void;
}

/** Everything daemon and CLI need of a mesh whose streams are there. Does no IO by itself. */
export function openMesh(connection: MeshConnection, options: OpenMeshOptions = {}): Mesh {
  const { leaseMs, leaseExtendMs, leaseGiveUpMs, appends, relay } = options;
  const lease = leaseMs === undefined ? {} : { leaseMs };
  const offers = new JetStreamOfferQueue(connection, { ...appends, ...lease });
  const leases = new ThreadedLeaseKeeper(connection, {
    ...(leaseExtendMs === undefined ? {} : { extendMs: leaseExtendMs }),
    ...(leaseGiveUpMs === undefined ? {} : { giveUpMs: leaseGiveUpMs }),
  });
  const peers = new JetStreamPeerDirectory(connection);
  const relayConnection = new RelayConnection(() => connection.address);
  const relaySource = new RelaySource(connection, relayConnection, relay);
  const door = new ServerDoor(connection);
  const runLog = new JetStreamRunLog(connection, appends);
  const objects = new JetStreamArtifactStore(connection);
  const finder = new JetStreamArtifactFinder(connection, peers);
  const transport = new RelayTransport(relayConnection, relay);
  return {
    runLog,
    offers,
    drives: new JetStreamDriveQueue(connection, lease),
    lanes: new JetStreamLaneDirectory(connection, (lane) => offers.openLane(lane)),
    peers,
    orders: new JetStreamPeerOrders(connection),
    sleepers: new JetStreamSleepingPeers(connection, options.onUnreadableSleeper),
    members: new JetStreamMemberDirectory(connection),
    results: new JetStreamResultCache(connection, appends),
    artifacts: objects,
    everywhere: new MeshArtifacts({ objects, finder, transport }),
    shelf: new JetStreamArtifactShelf(connection),
    references: new JetStreamMeshReferences(connection),
    retention: new JetStreamRetention(connection),
    liveLog: new JetStreamLiveLog(connection),
    leases,
    leaseCounts: () => leases.counts(),
    pins: new JetStreamInputPins(connection, runLog),
    boxes: new JetStreamSecretBoxes(connection),
    finder,
    keepers: new JetStreamOutputKeepers(connection),
    questions: new JetStreamTaskQuestions(connection),
    relay: transport,
    imageTags: new JetStreamImageTags(connection),
    imageManifests: new JetStreamImageManifests(connection),
    archivedImages: new JetStreamArchivedImages(connection),
    mirrorClaims: new JetStreamMirrorClaims(connection),
    queueDepths: () => queueDepths(connection),
    serveRelay: (peer, source, signal) => relaySource.serve(peer, source, signal),
    serveReleases: (release, signal) => new ReleaseRequests(connection).serve(release, signal),
    letIn: (inside, signal) => door.letIn(inside, signal),
    stop: async () => {
      await Promise.all([leases.stop(), relayConnection.stop()]);
    },
  };
}
