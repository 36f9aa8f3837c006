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

/** How a mesh is reached: it answers; nobody does; or too few of its servers are there to agree on anything. */
export type MeshReach = 'here' | 'away' | 'stands-still';

/** In words for people. */
export const REACH_TEXTS: Readonly<Record<MeshReach, string>> = {
  here: 'the mesh is back',
  away: 'lost the connection to the mesh',
  'stands-still':
    'the mesh stands still: too few of its anchors answer; everything waits, and goes on when they are back',
};

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
  /** Tells when the mesh is lost or stands still, and is back, until the returned function is called. */
  readonly onReach: (listener: (reach: MeshReach) => void) => () => void;
  /** Harmless when called twice. */
  readonly close: () => Promise<void>;
}
