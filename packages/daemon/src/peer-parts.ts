import type {
  ArtifactFinder,
  ArtifactStore,
  DriveQueue,
  Graph,
  LaneDirectory,
  OutputKeepers,
  PeerEntry,
  RunPublished,
  SecretBoxes,
} from '@podmesh/core';
import type { DrainOrder } from './claim/drain.ts';
import type { ExecutorParts } from './execute/executor-parts.ts';
import type { HandOver } from './keep/hand-over.ts';
import type { HostMeasures } from './machine/host-guard.ts';
import type { OwnerWatch } from './owner/owner-watch.ts';

export interface PeerParts
  extends Omit<ExecutorParts, 'machine' | 'limits' | 'isOpen' | 'isDirectoryWhole'> {
  readonly drives: DriveQueue;
  readonly lanes: LaneDirectory;
  readonly keepers: OutputKeepers;
  /** The object store of the mesh. */
  readonly objects: Pick<ArtifactStore, 'stat'>;
  readonly finder: Pick<ArtifactFinder, 'whoHas'>;
  /** Artifacts, where it matters that one is not there. Absent: what the store says is true. */
  readonly rollCall?: (signal: AbortSignal) => Pick<ArtifactStore, 'stat' | 'get'>;
  readonly loadGraph: (published: RunPublished) => Promise<Graph>;
  readonly boxes?: Pick<SecretBoxes, 'discard'>;
  /** What the machine is and offers; read again for every heartbeat. */
  readonly describe: () => PeerFacts;
  /** What costs too much to be read for anything but a heartbeat. */
  readonly networks?: () => Pick<PeerEntry, 'networks'>;
  /** Absent: a machine that nothing can happen to. */
  readonly host?: HostMeasures;
  /** Absent: nobody has wishes that would stop it. */
  readonly owner?: OwnerWatch;
  /** Absent: what is here alone is lost with this peer. */
  readonly handOver?: HandOver;
  /** An earlier session was drained, and nobody has ended that. */
  readonly drained?: DrainOrder;
}

/** What a heartbeat says besides the peer's own load. */
export type PeerFacts = Omit<
  PeerEntry,
  'peer' | 'session' | 'free' | 'claims' | 'spending' | 'driving' | 'rations' | 'wanted'
>;
