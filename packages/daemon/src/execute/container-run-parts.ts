import type {
  ClaimId,
  Clock,
  ContainerRuntime,
  Failure,
  LimitsEnforced,
  Machine,
  Offer,
  PeerId,
  PullProgress,
  RunningContainer,
  Sequence,
  TaskResult,
} from '@podmesh/core';
import type { Reservation } from '../claim/capacity-ledger.ts';
import type { ExternalParts } from '../external/attempt-externals.ts';
import type { HostMeasures } from '../machine/host-guard.ts';
import type { AttemptDesk } from '../task-api/task-api.ts';
import type { OnStep } from './attempt-step.ts';
import type { ImageArchives } from './image-archives.ts';
import type { LogSpool, TaskFiles } from './task-files.ts';

/** How an attempt ended, before anybody was told. */
export type Ending =
  | { readonly kind: 'succeeded'; readonly result: TaskResult }
  | { readonly kind: 'failed'; readonly failure: Failure };

export interface ContainerRunParts {
  readonly runtime: ContainerRuntime;
  readonly files: TaskFiles;
  /** Absent: Podman loads an image archive that a job left as a whole. */
  readonly archives?: ImageArchives;
  readonly clock: Clock;
  readonly machine: () => Machine;
  /** What holds a task to its limits on this machine. */
  readonly limits: () => LimitsEnforced;
  readonly peer: PeerId;
  /** Absent: no task here reaches anything outside of the mesh, nor has secrets. */
  readonly external?: ExternalParts | undefined;
  /** The result cache, of offers whose result only this attempt could know. */
  readonly known?: KnownResult | undefined;
  /** The disk that tasks write to; absent: a full one is not told from a command's own failure. */
  readonly host?: Pick<HostMeasures, 'freeDiskBytes' | 'disk'>;
  /** Where containers can ask for more; absent: nowhere. */
  readonly desk?: AttemptDesk;
  /** Called at every step of an attempt, so that tests can end the process exactly there. */
  readonly onStep?: OnStep | undefined;
}

/** A result that makes the container needless, and how one is kept although it could not be delivered. */
export interface KnownResult {
  find(offer: Offer, image: string): Promise<TaskResult | undefined>;
  record(offer: Offer, result: TaskResult): Promise<void>;
}

/** Who has to know of the container of one attempt. */
export interface ContainerWitness {
  /** It runs; must not throw. */
  started(container: RunningContainer, image: string): Promise<void>;
  /** CPU time that it has used so far, of a task with a budget. */
  used(cpuMs: number): void;
  /** It does not run any more. */
  ended(): void;
}

/** One attempt, as it is given to who runs its container. */
export interface AttemptAtHand {
  readonly offer: Offer;
  readonly claim: ClaimId;
  readonly spool: LogSpool;
  readonly stop: AbortSignal;
  readonly witness?: ContainerWitness;
  /** How long an adopted container has run before. */
  readonly ranMs?: number;
  /** Told how far the pull of the image is. */
  readonly onPull?: PullProgress;
  /** What the attempt holds of the machine, and where it began in the log: with both it is answered. */
  readonly reservation?: Reservation;
  readonly startedSequence?: Sequence;
}
