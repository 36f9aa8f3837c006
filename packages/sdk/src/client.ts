import type {
  AnchorRecord,
  ArtifactFinder,
  ArtifactShelf,
  ArtifactStore,
  DriveQueue,
  ImageTags,
  LiveLog,
  MemberDirectory,
  PeerDirectory,
  PeerOrders,
  RunLog,
  SecretBoxes,
  SleepingPeers,
} from '@podmesh/core';
import type { Downloads } from './downloads.ts';

/** Who carries a mesh. */
export interface AnchorsOfMesh {
  /** Undefined in a mesh whose servers people run themselves. */
  read(): Promise<AnchorRecord | undefined>;
}

/** What a program uses of a mesh; the daemon's part of it (offers, claims) is not its business. */
export interface Client {
  readonly runLog: RunLog;
  readonly drives: DriveQueue;
  readonly peers: PeerDirectory;
  readonly orders: Pick<PeerOrders, 'ask'>;
  readonly sleepers: Pick<SleepingPeers, 'list' | 'forget'>;
  readonly members: MemberDirectory;
  /** All that can be had, from whatever place. */
  readonly artifacts: ArtifactStore;
  /** Large files from the peers that have them, put together in `folder`; absent: everything comes from `artifacts`. */
  readonly downloads?: (folder: string) => Pick<Downloads, 'fetchInto' | 'came' | 'close'>;
  /** What is in the server's object store. */
  readonly objects: Pick<ArtifactStore, 'stat'>;
  /** How full that is, what is in it, and what a graph names of it. */
  readonly shelf: Pick<ArtifactShelf, 'look' | 'list' | 'refresh'>;
  readonly finder: ArtifactFinder;
  readonly imageTags: ImageTags;
  readonly liveLog: LiveLog;
  readonly boxes: Pick<SecretBoxes, 'put'>;
  /** Which servers carry the mesh. */
  readonly anchors: AnchorsOfMesh;
  /** Address without credentials. */
  readonly url: string;
  /** Tells when the connection breaks and comes back, until the returned function is called. */
  readonly onConnection: (listener: (connected: boolean) => void) => () => void;
  /** Harmless when called twice. */
  readonly close: () => Promise<void>;
}
