import type {
  ArtifactStore,
  Clock,
  LeaseKeeper,
  LiveLog,
  OfferQueue,
  PeerDirectory,
  ResultCache,
  RunLog,
  SessionId,
  Sha256,
} from '@podmesh/core';
import type { Logger } from 'pino';
import type { AttemptJournal, JournalEntry } from './attempt-journal.ts';
import type { ContainerRunParts, Ending } from './container-run-parts.ts';

export interface ExecutorParts extends ContainerRunParts {
  readonly log: RunLog;
  readonly offers: OfferQueue;
  readonly leases: LeaseKeeper;
  readonly peers: PeerDirectory;
  readonly results: ResultCache;
  readonly artifacts: ArtifactStore;
  readonly liveLog: LiveLog;
  readonly journal: AttemptJournal;
  readonly session: SessionId;
  readonly clock: Clock;
  readonly sha256: Sha256;
  /** Random text for claim ids. */
  readonly randomId: () => string;
  readonly logger: Logger;
  /** See `RefusedOffers`. */
  readonly isDirectoryWhole?: () => boolean;
  /** Whether anything may begin at present; absent: always. */
  readonly isOpen?: () => boolean;
  /** Told how each attempt of this peer ended, published or not. */
  readonly onEnding?: (attempt: JournalEntry, ending: Ending) => void;
}
