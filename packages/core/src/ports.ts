import './words/abort-signal.ts';
import type { ArtifactRef } from './artifact/artifact.ts';
import type { OutputRef, Requirements, RuntimeName } from './graph/graph.ts';
import type { LimitsEnforced, PeerEntry } from './placement/peer-entry.ts';
import type { Offer } from './run/offer.ts';
import type { RunEnded, RunEvent, TaskEvent, TaskResult } from './run/run-event.ts';
import type {
  ActionDigest,
  ArtifactId,
  ClaimId,
  LaneId,
  PeerId,
  RunId,
  TaskId,
} from './words/ids.ts';
import type { Result } from './words/result.ts';

/**
 * What the core wants of the world, in our words (STYLE rule 8). Adapters throw `PortError`
 * subclasses for IO failures; an expected refusal is a value. Every wait ends when its signal aborts.
 *
 * All ports in one file, longer than others: together they are the list of what an adapter, a fake
 * and a newcomer have to know, and nothing in it is code.
 */

/** Position in a stream, from 1; 0 means "nothing yet". */
export type Sequence = number;

/** An IO failure of an adapter. `retryable`: the same call may succeed later without anybody's doing. */
export class PortError extends Error {
  readonly retryable: boolean;
  constructor(message: string, options: { retryable: boolean; cause?: unknown }) {
    super(message, { cause: options.cause });
    this.name = new.target.name;
    this.retryable = options.retryable;
  }
}

/** The bytes of an artifact are nowhere to be found. */
export class ArtifactMissingError extends PortError {
  readonly artifact: ArtifactId;
  constructor(artifact: ArtifactId, cause?: unknown) {
    super(`artifact ${artifact} is not stored in this mesh`, {
      retryable: false,
      cause,
    });
    this.artifact = artifact;
  }
}

/** A container of ours is not there any more, or never ran: somebody removed it, or the machine restarted. */
export class ContainerLostError extends PortError {
  constructor(container: string, what: string, cause?: unknown) {
    super(`container ${container.slice(0, 12)} ${what}`, { retryable: false, cause });
  }
}

/** An event with its place in the stream and the server's time (RFC 3339; for people, decides nothing). */
export interface Logged<E extends RunEvent = RunEvent> {
  readonly event: E;
  readonly sequence: Sequence;
  readonly at: string;
}

/** Somebody else wrote to that subject first: the writer's view is stale and its fact is not one. */
export interface StaleAppend {
  readonly kind: 'stale';
}

/** One line of the list of runs. */
export interface RunSummary {
  readonly run: RunId;
  readonly name?: string;
  readonly taskCount: number;
  readonly publisher: string;
  readonly publishedAt: string;
  readonly cancelRequested: boolean;
  readonly ended?: { readonly event: RunEnded; readonly at: string };
}

/**
 * The ordered facts of all runs; the only truth. One subject per task, one each for graph, control and end; losses
 * of outputs (`outputs-lost`) stand before the end, on its subject.
 */
export interface RunLog {
  /**
   * Appends behind `expected`, the last sequence of the event's own subject. Resolves once the fact
   * is durable. Calling again with an equal event after an error is safe: an append that had
   * already landed is recognised by its content and answered with its sequence.
   */
  append(event: RunEvent, expected: Sequence): Promise<Result<Sequence, StaleAppend>>;
  /** The newest event of one task, read from the leader; undefined when there is none. */
  lastOfTask(run: RunId, task: TaskId): Promise<Logged<TaskEvent> | undefined>;
  /** All events of one run that are there now, in order, in batches; ends by itself. */
  read(run: RunId, signal?: AbortSignal): AsyncIterable<readonly Logged[]>;
  /** All events of one run after sequence `after` (0: from the first), and then each new one, in order, without gaps; ends only with the signal. */
  follow(run: RunId, after: Sequence, signal: AbortSignal): AsyncIterable<readonly Logged[]>;
  /** Every run that still has a log, oldest first. */
  runs(): Promise<readonly RunSummary[]>;
  /** Runs whose cancellation is requested from now on. A hint: it may miss some. */
  cancellations(signal: AbortSignal): AsyncIterable<RunId>;
  /** Whether nothing of the run may start any more: cancellation was requested, or it has ended. Losses do not count. */
  isOver(run: RunId): Promise<boolean>;
}

/** A message of a work queue in our hands, until it is acknowledged, given back, or its lease runs out. */
export interface Claimed<T> {
  readonly value: T;
  /** Stream sequence of the message: the same for every redelivery of it. */
  readonly sequence: Sequence;
  /** By this any thread, and a restarted peer, can extend or settle the claim. */
  readonly ticket: ClaimTicket;
  /** Settles it for good. Not fenced: only the run log is. */
  ack(): Promise<void>;
  /** Gives it back to the queue, to be delivered again after `delayMs`. */
  giveBack(delayMs: number): Promise<void>;
}

/** Opaque to all but the queue's adapter. */
export type ClaimTicket = string;

/** Offers by lane. A hint, rebuildable from the log at any time; duplicates are harmless. */
export interface OfferQueue {
  /** Resolves when all are stored. Their lanes must have been opened. */
  publish(offers: readonly Offer[]): Promise<void>;
  /** Yields up to `limit` offers as they come; ends at the limit, after `waitMs`, or with the signal. */
  pull(
    lane: LaneId,
    limit: number,
    waitMs: number,
    signal: AbortSignal,
  ): AsyncIterable<Claimed<Offer>>;
  /** Tasks of the run that have an offer in the queue, waiting or claimed. */
  waiting(run: RunId): Promise<ReadonlySet<TaskId>>;
  /** Removes all offers of a run. */
  discard(run: RunId): Promise<void>;
  /** Acknowledges by ticket, for whoever the log tells that it is settled: sent, not confirmed. */
  settle(ticket: ClaimTicket): Promise<void>;
}

/** "This run needs a driver", claimed exactly like an offer. */
export interface DriveQueue {
  publish(run: RunId): Promise<void>;
  pull(limit: number, waitMs: number, signal: AbortSignal): AsyncIterable<Claimed<RunId>>;
  /** Runs that have a drive in the queue, waiting or claimed. */
  waiting(): Promise<ReadonlySet<RunId>>;
}

/** Extends claims every `LEASE_EXTEND_MS` from a thread that hashing, JSON or a blocked event loop cannot stop. */
export interface LeaseKeeper {
  /** `onLost` is called once, when no extension was confirmed for `LEASE_GIVE_UP_MS`. */
  keep(ticket: ClaimTicket, onLost: () => void): Lease;
}

export interface Lease {
  /** Stops extending; harmless when called twice. */
  release(): void;
}

/** The requirements behind each lane's id. */
export interface LaneDirectory {
  /** Makes the lane known and its queue ready. Harmless when done before. */
  open(lane: LaneId, requirements: Requirements): Promise<void>;
  list(): Promise<ReadonlyMap<LaneId, Requirements>>;
  /** Yields whenever lanes may have changed, from now on; a hint to call `list`. */
  changes(signal: AbortSignal): AsyncIterable<void>;
}

/** Who is there. An entry vanishes `PEER_TTL_MS` after its last announcement, by the server's timer. */
export interface PeerDirectory {
  announce(entry: PeerEntry): Promise<void>;
  withdraw(peer: PeerId): Promise<void>;
  find(peer: PeerId): Promise<PeerEntry | undefined>;
  list(): Promise<readonly PeerEntry[]>;
}

/** The result cache: action → result. A record may outlive its bytes: whoever uses it checks them. */
export interface ResultCache {
  lookUp(actions: readonly ActionDigest[]): Promise<ReadonlyMap<ActionDigest, TaskResult>>;
  record(action: ActionDigest, result: TaskResult): Promise<void>;
  forget(action: ActionDigest): Promise<void>;
}

/** Artifacts that every peer can reach. */
export interface ArtifactStore {
  /** Of the given ones, those whose bytes can be had; the empty artifact always. */
  stat(artifacts: readonly ArtifactId[]): Promise<ReadonlyMap<ArtifactId, ArtifactRef>>;
  /**
   * Stores bytes under the digest the caller computed; verifies it, and stores nothing if it differs. Throws
   * `ObjectStoreFullError`, `spare` sooner: what others can get from the caller's disk as well leaves the last room to
   * what they can get nowhere else.
   */
  put(artifact: ArtifactRef, bytes: AsyncIterable<Uint8Array>, worth?: 'spare'): Promise<void>;
  /** Throws `ArtifactMissingError`; throws another `PortError` when the bytes do not match the digest. */
  get(artifact: ArtifactId): AsyncIterable<Uint8Array>;
}

/** Live output of running attempts: best effort, bounded, never the truth. */
export interface LiveLog {
  write(chunk: LogChunk): void;
  /** What is still there of the run (or one task of it), then each new chunk; ends with the signal. */
  follow(run: RunId, task: TaskId | undefined, signal: AbortSignal): AsyncIterable<LogChunk>;
}

export interface LogChunk {
  readonly run: RunId;
  readonly task: TaskId;
  readonly attempt: number;
  readonly bytes: Uint8Array;
}

/** Runs containers. One implementation per way of running them, all behind the same conformance suite. */
export interface ContainerRuntime {
  describe(): Promise<RuntimeDescription>;
  /** Local images: image id (`sha256:…`) → its references. */
  images(): Promise<ReadonlyMap<string, readonly string[]>>;
  /**
   * The image id behind a reference or digest; `pull` allows asking the registries configured on the
   * machine, and is told how far that is, in words. Callers that want the same share one pull.
   */
  resolveImage(
    reference: string,
    pull: false | PullProgress,
    signal: AbortSignal,
  ): Promise<Result<string, ImageProblem>>;
  /** Loads an OCI or docker archive from a file; the image id. */
  loadImage(archivePath: string, signal: AbortSignal): Promise<Result<string, ImageProblem>>;
  /** Creates and starts. The signal stops waiting for the start, not the started container. */
  start(
    spec: ContainerSpec,
    log: LogSink,
    signal: AbortSignal,
  ): Promise<Result<RunningContainer, StartProblem>>;
  /** Containers with our label and this peer's id, whatever state they are in. */
  leftovers(peer: PeerId): Promise<readonly RunningContainer[]>;
  /**
   * Runs a canary: a container of the runtime's own, with all that a task's has, that does nothing.
   * Undefined when it ended well; else what is wrong with this machine.
   */
  probe(peer: PeerId, signal: AbortSignal): Promise<string | undefined>;
}

/** One line for people, such as `pulling docker.io/library/debian:12: 34 of 49 MiB`; must not throw. */
export type PullProgress = (line: string) => void;

/** Called in order; must not throw and must not block. */
export type LogSink = (stream: 'stdout' | 'stderr', bytes: Uint8Array) => void;

export interface ContainerLabels {
  readonly run: RunId;
  readonly task: TaskId;
  readonly attempt: number;
  readonly peer: PeerId;
  readonly claim: ClaimId;
}

export interface ContainerSpec {
  readonly labels: ContainerLabels;
  /** Image id. */
  readonly image: string;
  readonly command?: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Variable → absolute host path of the file with its value: it may be in no request, database or record. */
  readonly secretEnv?: Readonly<Record<string, string>>;
  /** Name → absolute host path of a file or directory, mounted read-only at `/in/<name>`, or where `mountAt` says. */
  readonly inputs: Readonly<Record<string, string>>;
  /** Input name → absolute path in the container, of inputs that are not mounted at `/in/<name>`. */
  readonly mountAt?: Readonly<Record<string, string>>;
  /** Only `fd` outputs matter before the end: they must be open when the command starts. */
  readonly outputs: Readonly<Record<string, OutputRef>>;
  readonly net: boolean;
  readonly requirements: Requirements;
  /** A private host directory for the runtime's own files of this attempt: the runtime makes it when it needs one, the caller removes it. */
  readonly scratchDir: string;
  /**
   * Host directory with the socket `sock`, at which this attempt is answered: mounted read-only at `/run/podmesh`, where
   * `/run/podmesh.sock` leads into it. The socket may be made anew while the container runs, the directory may not.
   */
  readonly socketDir?: string;
  /**
   * Called with the id of a process of it, where tasks with a network are made ready: its namespaces are there, and its
   * command does not run yet. Must not throw.
   */
  readonly onReady?: (pid: number) => Promise<void>;
}

/** A container of ours, from its start until it is removed. */
export interface RunningContainer {
  readonly labels: ContainerLabels;
  /** What `replayLog` sends: the log from its beginning, or, where the streams are pipes, what nobody has read yet. */
  readonly replays: 'all' | 'since';
  /** Of a container found by `leftovers`: sends its log; `wait` then waits for that too. */
  replayLog(log: LogSink): void;
  /**
   * Resolves when the container and its log have ended; may be called several times. Throws
   * `ContainerLostError` when nobody will ever know how it ended.
   */
  wait(): Promise<ContainerExit>;
  /** SIGTERM, and SIGKILL after `graceMs` (0: at once). Resolves when it has ended. */
  stop(graceMs: number): Promise<void>;
  /** After the end: what the task left at a declared output. */
  readOutput(output: OutputRef): Promise<Result<AsyncIterable<OutputEntry>, OutputProblem>>;
  /** Id of a process of it, as this machine's kernel counts; undefined when none runs. Absent: it has no network. */
  pid?(): Promise<number | undefined>;
  /** What it uses at this moment; a member that cannot be measured here, or not any more, is absent. Never throws. */
  sample(): Promise<ContainerSample>;
  /** Removes it and its anonymous volumes; stops it if needed; harmless when it is gone. */
  remove(): Promise<void>;
}

/** What a container uses, measured from outside. */
export interface ContainerSample {
  /** Of all its processes, shared pages counted once where the kernel tells (PSS). */
  readonly memoryBytes?: number;
  readonly processes?: number;
  /** CPU time of all its processes so far: by the cgroup, else of those that live and of what they waited for. */
  readonly cpuMs?: number;
  /** What it wrote to its scratch layer and its `fd` outputs. */
  readonly scratchBytes?: number;
}

export interface ContainerExit {
  /** As the kernel told: 128+n is not guessed into a signal, except that a signal of our own is named. */
  readonly code: number;
  readonly signal?: string;
  /** The kernel killed it for memory, as far as can be known. */
  readonly oomKilled: boolean;
  /** RFC 3339. */
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly wallMs: number;
  readonly cpuMs?: number;
  readonly maxRssBytes?: number;
}

/** A `file` or `fd` output yields one entry with path `''`; a `dir` output its entries, parents before children. `content` must be read before the next entry. */
export type OutputEntry =
  | {
      readonly kind: 'file';
      readonly path: string;
      readonly executable: boolean;
      readonly content: AsyncIterable<Uint8Array>;
    }
  | { readonly kind: 'dir'; readonly path: string }
  | {
      readonly kind: 'symlink';
      readonly path: string;
      readonly target: string;
    };

export interface OutputProblem {
  readonly kind: 'missing' | 'not-a-file' | 'not-a-directory';
  readonly message: string;
}

export interface ImageProblem {
  readonly kind: 'unavailable' | 'platform' | 'not-an-image';
  /** Names the reference and where it was looked for. */
  readonly message: string;
}

export interface StartProblem {
  /** `command`: the image has no such program. `runtime`: anything the machine is to blame for. `disk`: no space left. */
  readonly kind: 'command' | 'runtime' | 'disk';
  readonly message: string;
}

export interface RuntimeDescription {
  /** What runs a task that does not ask for one. */
  readonly name: RuntimeName;
  /** All that a task may ask for here. */
  readonly runtimes: readonly RuntimeName[];
  readonly version: string;
  readonly rootless: boolean;
  /** OCI runtime, storage driver and cgroup version, for `doctor` and `peers`. */
  readonly ociRuntime: string;
  readonly storageDriver: string;
  readonly cgroupVersion: string;
  /** What holds a task to its limits here. */
  readonly limits: LimitsEnforced;
  readonly arch: string;
}

/** Monotonic milliseconds and waiting. Measures durations; decides no order. */
export interface Clock {
  nowMs(): number;
  /** Resolves after `ms`, or at once when the signal aborts; never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}
