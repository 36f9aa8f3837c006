import type { ArtifactRef } from '../artifact/artifact.ts';
import type { Graph, Job } from '../graph/graph.ts';
import type { Sequence } from '../ports.ts';
import type {
  ActionDigest,
  ArtifactId,
  ClaimId,
  PeerId,
  RunId,
  SessionId,
  TaskId,
} from '../words/ids.ts';
import type { FailureKind } from './failure-kind.ts';

/** The facts of a run, in the past tense. The run log holds nothing else (DESIGN §3). */
export type RunEvent =
  | RunPublished
  | RunCancelRequested
  | TasksSpawned
  | SubTasksDropped
  | BudgetSpent
  | OutputsLost
  | InputPinned
  | RunEnded
  | TaskEvent;

/** Facts about one task; each is appended behind the last one its writer has seen of that task. */
export type TaskEvent =
  | AttemptStarted
  | AttemptSucceeded
  | AttemptFailed
  | AttemptLost
  | TaskCached
  | TaskReleased
  | TaskCancelled
  | OutputsKept
  | JobExpanded
  | ExpansionFailed
  | WhenDecided;

/** The first event of every run: what is to be done. */
export interface RunPublished {
  readonly kind: 'run-published';
  readonly run: RunId;
  readonly name?: string;
  /** Small graphs travel in the event, larger ones as an artifact of canonical JSON. */
  readonly graph:
    | { readonly kind: 'inline'; readonly graph: Graph }
    | { readonly kind: 'artifact'; readonly artifact: ArtifactId };
  readonly taskCount: number;
  /** `user@host`, for people. */
  readonly publisher: string;
}

export interface RunCancelRequested {
  readonly kind: 'run-cancel-requested';
  readonly run: RunId;
  readonly by: string;
  readonly reason: string;
}

/**
 * A task, from inside its container, asked for more jobs. Appended on a subject of its own for each such task, so
 * it is a fact of the run only if `refuseSpawn` has nothing against it at its place in the stream: that
 * attempt must be open there. Jobs are normalised and named (`parseSpawn`).
 */
export interface TasksSpawned {
  readonly kind: 'tasks-spawned';
  readonly run: RunId;
  /** The task that asked. */
  readonly parent: TaskId;
  readonly attempt: number;
  readonly claim: ClaimId;
  /** By this a repeated attempt finds them again: `SPAWN_KEY_CHARACTERS_MAX` at most, once for each parent. */
  readonly key: string;
  readonly jobs: readonly Job[];
}

/**
 * A task wants some of its sub-tasks no more. Appended where its `tasks-spawned` are, and a fact of the run under the
 * same condition.
 */
export interface SubTasksDropped {
  readonly kind: 'sub-tasks-dropped';
  readonly run: RunId;
  readonly parent: TaskId;
  readonly attempt: number;
  readonly claim: ClaimId;
  readonly tasks: readonly TaskId[];
}

/**
 * What a task spawned, all levels together, has used up the CPU time that the document gives it: told by the driver, which
 * adds up what has ended and what peers say of what is at work. Appended where its `tasks-spawned` are.
 */
export interface BudgetSpent {
  readonly kind: 'budget-spent';
  readonly run: RunId;
  /** Whose budget it was. */
  readonly parent: TaskId;
  readonly cpuMs: number;
}

/**
 * Nobody has these outputs of a success any more, and a task that reads them found that out: the
 * task that made them is to be done again. Appended where `run-ended` is, and not behind the task's own facts: only
 * so can no run end while something of it is lost, and nothing be lost of a run that has ended.
 */
export interface OutputsLost {
  readonly kind: 'outputs-lost';
  readonly run: RunId;
  readonly task: TaskId;
  readonly artifacts: readonly ArtifactId[];
  /** How often the task is done again, this time included: from 1 to `RERUNS_PER_TASK_MAX`. */
  readonly rerun: number;
  /**
   * Where its writer appended it: without this an equal fact of who has not seen what others lost meanwhile
   * would be taken for a repetition, and its writer believe that it has seen everything.
   */
  readonly behind: Sequence;
}

/**
 * What an object outside of the mesh was when a task of the run first read it; from here on all of them, and every
 * repeated attempt, read these bytes. On a subject of its own for each source, of which it is the only event.
 */
export interface InputPinned {
  readonly kind: 'input-pinned';
  readonly run: RunId;
  /** `sourceKey` of the place. */
  readonly source: string;
  /** The place in words, for people; without credentials. */
  readonly from: string;
  readonly artifact: ArtifactRef;
  readonly peer: PeerId;
}

/** The last event of every run. */
export interface RunEnded {
  readonly kind: 'run-ended';
  readonly run: RunId;
  readonly state: 'succeeded' | 'failed' | 'cancelled';
  readonly counts: TaskCounts;
  /** The result record (`RunRecord` as JSON), which outlives the log. */
  readonly record: ArtifactId;
  /** Of how many tasks the outputs have fewer copies than wanted; absent: of none. */
  readonly short?: number;
  /** Why the run could not even be begun; its tasks are then not counted. */
  readonly problem?: string;
}

export interface TaskCounts {
  readonly succeeded: number;
  /** Of those that succeeded, how many came from the result cache. */
  readonly cached: number;
  readonly failed: number;
  readonly skipped: number;
  readonly cancelled: number;
}

/** A peer owns attempt `attempt` of the task from here until an event with the same claim, or `attempt-lost`. */
export interface AttemptStarted {
  readonly kind: 'attempt-started';
  readonly run: RunId;
  readonly task: TaskId;
  /** Numbered from 1. */
  readonly attempt: number;
  readonly peer: PeerId;
  readonly session: SessionId;
  readonly claim: ClaimId;
  /** Stream sequence of the offer that was claimed: tells a redelivery from a duplicate. */
  readonly offerSequence: number;
}

export interface AttemptSucceeded {
  readonly kind: 'attempt-succeeded';
  readonly run: RunId;
  readonly task: TaskId;
  readonly attempt: number;
  readonly claim: ClaimId;
  readonly action: ActionDigest;
  readonly result: TaskResult;
}

export interface AttemptFailed {
  readonly kind: 'attempt-failed';
  readonly run: RunId;
  readonly task: TaskId;
  readonly attempt: number;
  readonly claim: ClaimId;
  readonly failure: Failure;
}

/** Written by another peer, or by the driver, when the claim passed on while the attempt was open. */
export interface AttemptLost {
  readonly kind: 'attempt-lost';
  readonly run: RunId;
  readonly task: TaskId;
  readonly attempt: number;
  readonly claim: ClaimId;
  /** Who vanished. */
  readonly peer: PeerId;
  readonly reason: string;
}

/** The driver found the task's action in the result cache, with all bytes there. */
export interface TaskCached {
  readonly kind: 'task-cached';
  readonly run: RunId;
  readonly task: TaskId;
  readonly action: ActionDigest;
  readonly result: TaskResult;
}

/** A person let a held task be tried again; what happened before counts no more. */
export interface TaskReleased {
  readonly kind: 'task-released';
  readonly run: RunId;
  readonly task: TaskId;
  /** `user@host`, for people. */
  readonly by: string;
}

/** The driver of a cancelled run closed the task: an offer still on its way can start nothing any more. */
export interface TaskCancelled {
  readonly kind: 'task-cancelled';
  readonly run: RunId;
  readonly task: TaskId;
}

/** The driver saw the outputs of a success on these peers, and waits no longer for more of them. */
export interface OutputsKept {
  readonly kind: 'outputs-kept';
  readonly run: RunId;
  readonly task: TaskId;
  readonly keepers: readonly PeerId[];
  /** How many copies there should be. */
  readonly wanted: number;
  /** Why there are fewer. */
  readonly short?: string;
}

/**
 * A driver read the list that a `forEach` job goes over. Of the task that stood for the job until now; never
 * repeated: should the list be made again and be another one, this stays.
 */
export interface JobExpanded {
  readonly kind: 'job-expanded';
  readonly run: RunId;
  readonly task: TaskId;
  /** What was read. */
  readonly source: ArtifactId;
  readonly count: number;
  readonly elements: ElementList;
}

/** What a job should go over is no list, or too long a one, or its condition is about no text: the job has failed. */
export interface ExpansionFailed {
  readonly kind: 'expansion-failed';
  readonly run: RunId;
  readonly task: TaskId;
  readonly failure: Failure;
}

/**
 * A driver looked whether a job is needed. Of its first task, which until then stands for all of them; never
 * repeated, whatever becomes of what was looked at.
 */
export interface WhenDecided {
  readonly kind: 'when-decided';
  readonly run: RunId;
  readonly task: TaskId;
  readonly met: boolean;
  /** What was found, for people. */
  readonly found: string;
}

/** Small lists travel in the event, larger ones as artifacts of `Element[]` as JSON, one behind the other. */
export type ElementList =
  | { readonly kind: 'inline'; readonly elements: readonly Element[] }
  | { readonly kind: 'artifacts'; readonly artifacts: readonly ArtifactRef[] };

/** What one task of a `forEach` job is for: an entry of a directory, or a text, which becomes an artifact when it is offered. */
export type Element =
  | { readonly name: string; readonly artifact: ArtifactRef }
  | { readonly text: string };

/** What a success left behind; also the value of the result cache. */
export interface TaskResult {
  readonly inputs: Readonly<Record<string, ArtifactId>>;
  readonly outputs: Readonly<Record<string, ArtifactRef>>;
  readonly exit: ExitReport;
  readonly usage: Usage;
  readonly log: LogRef;
  /** Some of it is above `SMALL_ARTIFACT_BYTES_MAX`: its bytes are on the disks of peers alone. */
  readonly bulk?: true;
  readonly machine: Machine;
  readonly peer: PeerId;
  /** The image that ran: Podman's image id. */
  readonly image: string;
}

export interface Failure {
  readonly kind: FailureKind;
  /** What happened, where, and what to do: one or two sentences. */
  readonly message: string;
  readonly inputs?: Readonly<Record<string, ArtifactId>>;
  /** Of the inputs and the image, those whose bytes, or bytes below their listing, nobody could give. */
  readonly missing?: readonly ArtifactId[];
  readonly exit?: ExitReport;
  readonly usage?: Usage;
  readonly log?: LogRef;
  /** Of the outputs that are kept on failure, those that were there. */
  readonly outputs?: Readonly<Record<string, ArtifactRef>>;
  /** The end of standard error, at most `STDERR_TAIL_BYTES_MAX`. */
  readonly stderrTail?: string;
  readonly machine?: Machine;
}

export interface ExitReport {
  /** Absent when the task was ended by a signal. */
  readonly code?: number;
  /** `SIGKILL`, …; absent when it exited by itself. */
  readonly signal?: string;
  /** RFC 3339, by the executing machine's clock: for people, nothing is decided by it. */
  readonly startedAt: string;
  readonly finishedAt: string;
}

/** What the platform could tell; a missing member was not measurable there. */
export interface Usage {
  readonly wallMs: number;
  readonly cpuMs?: number;
  readonly maxRssBytes?: number;
}

export interface LogRef {
  readonly digest: ArtifactId;
  readonly bytes: number;
  /** Whether something of it is missing: it was cut at `LOG_BYTES_MAX`, or could not be kept. */
  readonly truncated: boolean;
  /** Why it is on the disk of its peer alone; absent: the object store has it, or another peer. */
  readonly short?: string;
}

/** Where an attempt ran. */
export interface Machine {
  readonly hostname: string;
  readonly kernel: string;
  readonly arch: string;
  readonly os: string;
  readonly cpuModel: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly podmanVersion: string;
}
