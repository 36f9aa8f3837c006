/**
 * Branded ids, one maker each. A maker checks the shape and throws a `TypeError` for a value that
 * cannot be such an id: makers stand at borders that were already validated, or build ids from
 * parts that are valid by construction.
 */
declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

/** One execution of a graph: 12 lower-case letters and digits, safe in subjects and file names. */
export type RunId = Branded<'run'>;
/** One entry of the document. */
export type JobId = Branded<'job'>;
/** One schedulable unit: `<job>`, or `<job>:<index>` for an element of an array job. */
export type TaskId = Branded<'task'>;
/** One daemon on one machine; stays the same over restarts. */
export type PeerId = Branded<'peer'>;
/** One start of one daemon: a restarted peer has a new session, its old attempts stay foreign. */
export type SessionId = Branded<'session'>;
/** One won right to make an attempt; random, so that no two appends ever look alike. */
export type ClaimId = Branded<'claim'>;
/** All tasks with the same requirements: the first 16 hex digits of their SHA-256. */
export type LaneId = Branded<'lane'>;
/** Stored bytes, as `sha256:<64 hex digits>`. */
export type ArtifactId = Branded<'artifact'>;
/** What a task does, as `sha256:<64 hex digits>` over its canonical description. */
export type ActionDigest = Branded<'action'>;

const DIGEST = /^sha256:[0-9a-f]{64}$/;
const JOB = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;
const TASK = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}(:\d{1,7})?$/;
const RUN = /^[a-z0-9]{12}$/;
const TOKEN = /^[A-Za-z0-9_-]{1,64}$/;
const LANE = /^[0-9a-f]{16}$/;

const maker =
  <Id extends string>(what: string, shape: RegExp) =>
  (text: string): Id => {
    if (!shape.test(text)) throw new TypeError(`not a ${what} id: ${JSON.stringify(text)}`);
    return text as Id;
  };

export const runId = maker<RunId>('run', RUN);
export const jobId = maker<JobId>('job', JOB);
export const taskId = maker<TaskId>('task', TASK);
export const peerId = maker<PeerId>('peer', TOKEN);
export const sessionId = maker<SessionId>('session', TOKEN);
export const claimId = maker<ClaimId>('claim', TOKEN);
export const laneId = maker<LaneId>('lane', LANE);
export const artifactId = maker<ArtifactId>('artifact', DIGEST);
export const actionDigest = maker<ActionDigest>('action', DIGEST);

/** Whether `text` has the shape `sha256:<64 hex digits>`. */
export const isDigest = (text: string): boolean => DIGEST.test(text);
/** Whether `text` can name a job. */
export const isJobId = (text: string): boolean => JOB.test(text);
/** Whether `text` can name a run. */
export const isRunId = (text: string): boolean => RUN.test(text);
