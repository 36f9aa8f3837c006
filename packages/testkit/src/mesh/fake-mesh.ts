import type {
  ArchivedImages,
  ArtifactFinder,
  ArtifactId,
  ArtifactShelf,
  ArtifactStore,
  ChunkSource,
  ChunkTransport,
  ClaimTicket,
  DriveQueue,
  ImageManifests,
  ImageTags,
  InputPins,
  LaneDirectory,
  LeaseKeeper,
  LiveLog,
  MirrorClaims,
  Offer,
  OfferQueue,
  OutputKeepers,
  PeerDirectory,
  PeerId,
  PeerOrders,
  ResultCache,
  RunId,
  RunLog,
  SecretBoxes,
  SleepingPeers,
} from '@podmesh/core';
import type { FakeProcess } from '../process/fake-process.ts';
import { Random } from '../random.ts';
import type { Scheduler } from '../time/scheduler.ts';
import { FakeArtifactFinder, FinderServer } from './fake-artifact-finder.ts';
import { FakeArtifactShelf } from './fake-artifact-shelf.ts';
import { ArtifactServer, FakeArtifactStore } from './fake-artifact-store.ts';
import { ChunkServer, FakeChunkTransport } from './fake-chunk-transport.ts';
import { ticketSequence } from './fake-claim.ts';
import { DRIVE_PARTITION, FakeDriveQueue } from './fake-drive-queue.ts';
import {
  FakeArchivedImages,
  FakeImageManifests,
  FakeImageTags,
  FakeMirrorClaims,
  ImageServer,
} from './fake-images.ts';
import { FakeInputPins } from './fake-input-pins.ts';
import { FakeLaneDirectory, LaneServer } from './fake-lane-directory.ts';
import { FakeLeaseKeeper } from './fake-lease-keeper.ts';
import { FakeLiveLog, LiveLogServer } from './fake-live-log.ts';
import { FakeOfferQueue } from './fake-offer-queue.ts';
import { FakeOutputKeepers, KeepServer } from './fake-output-keepers.ts';
import { FakePeerDirectory, PeerServer } from './fake-peer-directory.ts';
import { FakePeerOrders, OrderServer } from './fake-peer-orders.ts';
import { FakeResultCache, type ResultServer } from './fake-result-cache.ts';
import { FakeRunLog } from './fake-run-log.ts';
import { BoxServer, FakeSecretBoxes } from './fake-secret-boxes.ts';
import { FakeSleepingPeers, SleeperServer } from './fake-sleeping-peers.ts';
import { LogServer } from './log-server.ts';
import { QueueServer } from './queue-server.ts';

/** All ports that a mesh gives to one process, under the names that the daemon's parts have. */
export interface MeshPorts {
  readonly log: RunLog;
  readonly offers: OfferQueue;
  readonly drives: DriveQueue;
  readonly leases: LeaseKeeper;
  readonly lanes: LaneDirectory;
  readonly peers: PeerDirectory;
  readonly orders: PeerOrders;
  readonly sleepers: SleepingPeers;
  readonly results: ResultCache;
  readonly artifacts: ArtifactStore;
  readonly shelf: ArtifactShelf;
  readonly liveLog: LiveLog;
  readonly finder: ArtifactFinder;
  readonly pins: InputPins;
  readonly boxes: SecretBoxes;
  readonly keepers: OutputKeepers;
  readonly imageTags: ImageTags;
  readonly imageManifests: ImageManifests;
  readonly archivedImages: ArchivedImages;
  readonly mirrorClaims: MirrorClaims;
  readonly relay: ChunkTransport;
  serveRelay(peer: PeerId, source: ChunkSource, signal: AbortSignal): Promise<void>;
}

/** What NATS holds, in memory, and what may befall it. Tests look into it; processes only get ports. */
export class FakeMesh {
  readonly log: LogServer;
  readonly offers: QueueServer<Offer>;
  readonly drives: QueueServer<RunId>;
  readonly lanes = new LaneServer();
  readonly peers: PeerServer;
  readonly results: ResultServer = new Map();
  readonly artifacts: ArtifactServer;
  readonly liveLog = new LiveLogServer();
  readonly images: ImageServer;
  readonly finder = new FinderServer();
  readonly keepers = new KeepServer();
  readonly orders = new OrderServer();
  readonly sleepers = new SleeperServer();
  readonly chunks = new ChunkServer();
  readonly boxes = new BoxServer();
  private readonly random: Random;

  constructor(scheduler: Scheduler, random: Random = new Random('mesh')) {
    const nowMs = () => scheduler.nowMs();
    this.random = random;
    this.artifacts = new ArtifactServer(nowMs);
    this.log = new LogServer(nowMs);
    this.peers = new PeerServer(nowMs);
    this.images = new ImageServer(nowMs);
    this.offers = new QueueServer<Offer>('offers', scheduler, {
      partitionOf: (offer) => offer.lane,
      groupOf: (offer) => offer.run,
    });
    this.drives = new QueueServer<RunId>('drives', scheduler, {
      partitionOf: () => DRIVE_PARTITION,
      groupOf: (run) => run,
    });
  }

  portsFor(process: FakeProcess): MeshPorts {
    return {
      log: new FakeRunLog(process, this.log),
      offers: new FakeOfferQueue(process, this.offers, this.lanes),
      drives: new FakeDriveQueue(process, this.drives),
      leases: new FakeLeaseKeeper(process, (ticket) => this.extend(ticket)),
      lanes: new FakeLaneDirectory(process, this.lanes),
      peers: new FakePeerDirectory(process, this.peers),
      orders: new FakePeerOrders(process, this.orders),
      sleepers: new FakeSleepingPeers(process, this.sleepers),
      results: new FakeResultCache(process, this.results),
      artifacts: new FakeArtifactStore(process, this.artifacts),
      shelf: new FakeArtifactShelf(process, this.artifacts),
      liveLog: new FakeLiveLog(process, this.liveLog),
      finder: new FakeArtifactFinder(process, this.finder, this.peers),
      pins: new FakeInputPins(process, this.log),
      boxes: new FakeSecretBoxes(process, this.boxes),
      keepers: new FakeOutputKeepers(process, this.keepers),
      imageTags: new FakeImageTags(process, this.images),
      imageManifests: new FakeImageManifests(process, this.images),
      archivedImages: new FakeArchivedImages(process, this.images),
      mirrorClaims: new FakeMirrorClaims(process, this.images),
      relay: new FakeChunkTransport(process, this.chunks),
      serveRelay: (peer, source, signal) => this.chunks.serve(peer, { process, source }, signal),
    };
  }

  /** Loses a share (0 to 1) of all offers, claimed ones too; how many. */
  loseOffers(share = 1): number {
    return this.offers.lose(share, this.random);
  }

  /** Loses a share of all drives; how many. */
  loseDrives(share = 1): number {
    return this.drives.lose(share, this.random);
  }

  /** Every message of the share is in the queue twice, under two sequences; how many. */
  duplicateOffers(share = 1): number {
    return this.offers.duplicate(share, this.random);
  }

  /** A second driver for a share of the runs that have a drive; how many. */
  duplicateDrives(share = 1): number {
    return this.drives.duplicate(share, this.random);
  }

  /** The server restarts: open pulls are gone, all claimed messages are delivered again at once. */
  restartServer(): void {
    this.offers.restart();
    this.drives.restart();
  }

  /** The bytes are gone, what refers to them is not. */
  loseArtifact(artifact: ArtifactId): void {
    this.artifacts.delete(artifact);
  }

  /** Loses a share of all artifacts; how many. */
  loseArtifacts(share = 1): number {
    const lost = [...this.artifacts.keys()].filter(() => this.random.chance(share));
    for (const artifact of lost) this.loseArtifact(artifact);
    return lost.length;
  }

  /** Flips a bit of the stored bytes. */
  damageArtifact(artifact: ArtifactId): void {
    const stored = this.artifacts.get(artifact);
    if (stored === undefined) return;
    const bytes = stored.bytes.slice();
    bytes[0] = (bytes[0] ?? 0) ^ 1;
    this.artifacts.set(artifact, { ref: stored.ref, bytes });
  }

  private extend(ticket: ClaimTicket): void {
    const queue = ticket.startsWith(`${this.drives.name}:`) ? this.drives : this.offers;
    queue.extend(ticketSequence(ticket));
  }
}
