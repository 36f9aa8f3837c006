import {
  DiscardPolicy,
  JetStreamApiError,
  type JetStreamManager,
  PersistMode,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
  type StreamInfo,
} from '@nats-io/jetstream';
import { nanos } from '@nats-io/transport-node';
import {
  ARCHIVED_IMAGE_MS_MAX,
  ARCHIVED_IMAGES_MAX,
  OBJECT_STORE_BYTES_MAX,
  PEER_TTL_MS,
  SLEEPER_MS_MAX,
  SLEEPERS_MAX,
} from '@podmesh/core';
import { findStream } from './find-stream.ts';
import { MeshSilentError, StreamMismatchError } from './mesh-errors.ts';
import { noteMeshVersion, refuseOtherMesh } from './mesh-version.ts';
import { pause } from './pause.ts';
import {
  ALL_CONTROLS,
  ARCHIVE_BUCKET,
  ARCHIVE_STREAM,
  ARTIFACT_STREAM,
  ARTIFACT_SUBJECTS,
  bucketSubjects,
  CANCELLED_HINT_TARGET,
  DRIVE_STREAM,
  DRIVE_SUBJECTS,
  IMAGE_BUCKET,
  IMAGE_STREAM,
  INVITATION_BUCKET,
  LANE_BUCKET,
  LANE_HINTS,
  LANE_STREAM,
  LOG_STREAM,
  LOG_SUBJECTS,
  MEMBER_BUCKET,
  MEMBER_HINTS,
  MESH_BUCKET,
  MESH_STREAM,
  OFFER_STREAM,
  OFFER_SUBJECTS,
  PEER_BUCKET,
  PEER_STREAM,
  RESULT_BUCKET,
  RESULT_STREAM,
  RUN_STREAM,
  RUN_SUBJECTS,
  SECRET_BUCKET,
  SECRET_STREAM,
  SEEN_BUCKET,
  SLEEPER_BUCKET,
  SLEEPER_STREAM,
  streamOfBucket,
} from './subjects.ts';

export interface EnsureStreamsOptions {
  /** 1 on a single machine, 3 or 5 with that many anchors; only used for streams that are created. */
  readonly replicas: 1 | 3 | 5;
  /** Overrides `PEER_TTL_MS`; tests shorten it. */
  readonly peerTtlMs?: number;
  /** Of the program that is going to write there. Absent: whatever the mesh's is, it is not looked at. */
  readonly version?: string;
}

type Wanted = Partial<StreamConfig> & Pick<StreamConfig, 'name' | 'subjects'>;

/** 128 MiB of live output; the full log becomes an artifact. */
const LIVE_LOG_BYTES_MAX = 128 * 1024 * 1024;
const LIVE_LOG_AGE_MS_MAX = 60 * 60 * 1_000;
/** Sealed secrets of a run that nobody ended vanish after this long; the others go with their run. */
const SECRETS_AGE_MS_MAX = 90 * 24 * 60 * 60 * 1_000;
/** A year is an invitation's longest life; told for some more, so that a late guest learns why. */
const INVITATION_AGE_MS_MAX = 400 * 24 * 60 * 60 * 1_000;
/** What a tag has meant; a bucket's longest history (ADR-8). */
const TAG_HISTORY_MAX = 64;
const OBJECT_STORE_BYTES_MIN = 1024 * 1024 * 1024;

/**
 * Creates the streams that are missing and verifies those that are there. This is the only place that
 * creates them, called by people or a starting daemon: an error path that re-created a lost stream
 * would turn "storage is gone" into "nothing ever ran".
 */
export async function ensureStreams(
  jsm: JetStreamManager,
  options: EnsureStreamsOptions,
): Promise<void> {
  const { version } = options;
  if (version !== undefined) await refuseOtherMesh(jsm, version);
  for (const wanted of wantedStreams(options)) {
    if (wanted.name === LOG_STREAM) await replaceLostLog(jsm, wanted);
    const config = await createOrRead(jsm, wanted);
    const problems = mismatches(wanted, config);
    if (problems.length > 0) throw new StreamMismatchError(wanted.name, problems);
  }
  if (version !== undefined) await noteMeshVersion(jsm, version);
}

/** A new mesh's anchor makes all of them in this time, after its server answers. */
const STREAMS_MS = 15_000;
const LOOK_MS = 250;

/**
 * The stream of live output in a cluster: the only one that may have one copy, and be lost with its server. Such a one
 * cannot be moved to another server, either (`persist_mode: async`), and gives way to one with copies.
 */
export async function ensureLiveLog(jsm: JetStreamManager, replicas: 1 | 3 = 3): Promise<void> {
  for (const wanted of wantedStreams({ replicas })) {
    if (wanted.name !== LOG_STREAM) continue;
    await replaceLostLog(jsm, wanted);
    await createOrRead(jsm, wanted);
  }
}

/**
 * As `ensureStreams`, where somebody else makes them. Throws a retryable `MeshSilentError` when nobody does. What is in
 * archives a mesh of an older version does not know: peers go without until it is there.
 */
export async function findStreams(
  jsm: JetStreamManager,
  options: EnsureStreamsOptions,
): Promise<void> {
  const { version } = options;
  if (version !== undefined) await refuseOtherMesh(jsm, version);
  const deadline = performance.now() + STREAMS_MS;
  for (const wanted of wantedStreams(options)) {
    // Nobody can do without the others; live output is best effort, and those who may make it anew will.
    if (SPARE.has(wanted.name)) {
      const found = await orSilent(jsm, wanted.name);
      if (found === 'silent') continue;
      if (found === undefined && wanted.name === ARCHIVE_STREAM) continue;
    }
    let config = await readConfig(jsm, wanted.name);
    while (config === undefined && performance.now() < deadline) {
      await pause(LOOK_MS);
      config = await readConfig(jsm, wanted.name);
    }
    if (config === undefined)
      throw new MeshSilentError(
        `the mesh has no stream ${wanted.name}, and only the machine that made it may make one`,
      );
    const problems = mismatches(wanted, config);
    if (problems.length > 0) throw new StreamMismatchError(wanted.name, problems);
  }
}

/** Streams that a daemon can do without, and what each of them may cost it when it starts. */
const SPARE: ReadonlySet<string> = new Set([LOG_STREAM, ARCHIVE_STREAM]);
const SPARE_PATIENCE_MS = 8_000;

/** A log of live output that is on one server only, of several, or on one that is gone, gives way to one on all of them. */
async function replaceLostLog(jsm: JetStreamManager, wanted: Wanted): Promise<void> {
  if (wanted.num_replicas === 1) return;
  const deadline = performance.now() + SPARE_PATIENCE_MS;
  for (;;) {
    const found = await orSilent(jsm, wanted.name);
    if (found === undefined) return;
    // A server that is no member of a cluster has it alone, as it has everything.
    if (found !== 'silent' && found.cluster?.name === undefined) return;
    const isAlone = found !== 'silent' && found.config.num_replicas === 1;
    if (found !== 'silent' && !isAlone && found.cluster?.leader !== undefined) return;
    // Memory of two that lost their power is gone; one that has it still leads nobody.
    if (isAlone || performance.now() >= deadline) break;
    await pause(LOOK_MS);
  }
  // Nobody may be left to confirm it: what matters is that the others know.
  await jsm.streams.delete(wanted.name).catch(() => undefined);
}

/** Nobody tells, or the mesh does not let this peer ask. */
const orSilent = (
  jsm: JetStreamManager,
  name: string,
): Promise<StreamInfo | undefined | 'silent'> =>
  findStream(jsm, name, SPARE_PATIENCE_MS).catch(() => 'silent');

/** Of every stream of a mesh. */
export const streamNames = (): readonly string[] =>
  wantedStreams({ replicas: 1 }).map(({ name }) => name);

/** Every stream with its settings. Buckets follow the layouts of ADR-8 and ADR-20, so the nats tool reads them. */
function wantedStreams({ replicas, peerTtlMs }: EnsureStreamsOptions): readonly Wanted[] {
  const file = { storage: StorageType.File, num_replicas: replicas };
  const queue = { ...file, retention: RetentionPolicy.Workqueue };
  const bucket = { max_msgs_per_subject: 1, allow_rollup_hdrs: true, allow_direct: true };
  return [
    {
      name: RUN_STREAM,
      subjects: [RUN_SUBJECTS],
      ...file,
      allow_atomic: true,
      // Stored first, then told: a listener that reads after the hint finds the fact.
      republish: { src: ALL_CONTROLS, dest: CANCELLED_HINT_TARGET },
    },
    { name: OFFER_STREAM, subjects: [OFFER_SUBJECTS], ...queue, allow_atomic: true },
    {
      name: DRIVE_STREAM,
      subjects: [DRIVE_SUBJECTS],
      ...queue,
      // One drive per run: a second one is refused while the first is there.
      max_msgs_per_subject: 1,
      discard: DiscardPolicy.New,
      discard_new_per_subject: true,
    },
    {
      name: LOG_STREAM,
      subjects: [LOG_SUBJECTS],
      ...logStorage(replicas),
      max_bytes: LIVE_LOG_BYTES_MAX,
      max_age: nanos(LIVE_LOG_AGE_MS_MAX),
      discard: DiscardPolicy.Old,
      no_ack: true,
    },
    {
      name: PEER_STREAM,
      subjects: [bucketSubjects(PEER_BUCKET)],
      ...file,
      ...bucket,
      max_age: nanos(peerTtlMs ?? PEER_TTL_MS),
      duplicate_window: nanos(Math.min(peerTtlMs ?? PEER_TTL_MS, 5_000)),
    },
    {
      name: SLEEPER_STREAM,
      subjects: [bucketSubjects(SLEEPER_BUCKET)],
      ...file,
      ...bucket,
      max_age: nanos(SLEEPER_MS_MAX),
      max_msgs: SLEEPERS_MAX,
      discard: DiscardPolicy.Old,
    },
    {
      name: LANE_STREAM,
      subjects: [bucketSubjects(LANE_BUCKET)],
      ...file,
      ...bucket,
      republish: { src: bucketSubjects(LANE_BUCKET), dest: LANE_HINTS },
    },
    {
      name: RESULT_STREAM,
      subjects: [bucketSubjects(RESULT_BUCKET)],
      ...file,
      ...bucket,
      allow_atomic: true,
    },
    {
      name: SECRET_STREAM,
      subjects: [bucketSubjects(SECRET_BUCKET)],
      ...file,
      ...bucket,
      max_age: nanos(SECRETS_AGE_MS_MAX),
    },
    {
      name: IMAGE_STREAM,
      subjects: [bucketSubjects(IMAGE_BUCKET)],
      ...file,
      ...bucket,
      max_msgs_per_subject: TAG_HISTORY_MAX,
    },
    {
      name: ARCHIVE_STREAM,
      subjects: [bucketSubjects(ARCHIVE_BUCKET)],
      ...file,
      ...bucket,
      max_age: nanos(ARCHIVED_IMAGE_MS_MAX),
      max_msgs: ARCHIVED_IMAGES_MAX,
      discard: DiscardPolicy.Old,
    },
    { name: MESH_STREAM, subjects: [bucketSubjects(MESH_BUCKET)], ...file, ...bucket },
    {
      name: streamOfBucket(INVITATION_BUCKET),
      subjects: [bucketSubjects(INVITATION_BUCKET)],
      ...file,
      ...bucket,
      max_age: nanos(INVITATION_AGE_MS_MAX),
    },
    {
      name: streamOfBucket(MEMBER_BUCKET),
      subjects: [bucketSubjects(MEMBER_BUCKET)],
      ...file,
      ...bucket,
      republish: { src: bucketSubjects(MEMBER_BUCKET), dest: MEMBER_HINTS },
    },
    {
      name: streamOfBucket(SEEN_BUCKET),
      subjects: [bucketSubjects(SEEN_BUCKET)],
      ...file,
      ...bucket,
    },
    {
      name: ARTIFACT_STREAM,
      subjects: [...ARTIFACT_SUBJECTS],
      ...file,
      allow_rollup_hdrs: true,
      allow_direct: true,
      discard: DiscardPolicy.New,
      max_bytes: OBJECT_STORE_BYTES_MAX,
    },
  ];
}

/**
 * Best effort, so no chunk waits for the disk, whatever the server's sync_interval says. A standalone server forgets
 * memory streams altogether when it restarts; of several servers any one may die, and only memory is copied without a disk.
 */
function logStorage(replicas: number): Partial<StreamConfig> {
  return replicas === 1
    ? { storage: StorageType.File, num_replicas: 1, persist_mode: PersistMode.Async }
    : { storage: StorageType.Memory, num_replicas: replicas };
}

const PLACES_MS = 60_000;

/** Two daemons may start at once: whoever loses the race reads what the other created. */
async function createOrRead(jsm: JetStreamManager, wanted: Wanted): Promise<StreamConfig> {
  const found = await readConfig(jsm, wanted.name);
  if (found !== undefined) return found;
  const deadline = performance.now() + PLACES_MS;
  for (;;) {
    try {
      return (await add(jsm, wanted)).config;
    } catch (error) {
      const other = await readConfig(jsm, wanted.name);
      if (other !== undefined) return other;
      // Servers that have just started do not know yet that the others are there.
      const mayFindPlaces = error instanceof JetStreamApiError && error.code === NO_PLACES;
      if (!mayFindPlaces || performance.now() >= deadline) throw error;
      await pause(LOOK_MS);
    }
  }
}

/** A bound that the server's disk or the account has no room for is halved until it has, down to a gibibyte. */
async function add(jsm: JetStreamManager, wanted: Wanted): Promise<StreamInfo> {
  try {
    return await jsm.streams.add(wanted);
  } catch (error) {
    const bytes = (wanted.max_bytes ?? 0) / 2;
    const isTooMuch = error instanceof JetStreamApiError && NO_ROOM_CODES.has(error.code);
    if (!isTooMuch || wanted.name !== ARTIFACT_STREAM || bytes < OBJECT_STORE_BYTES_MIN)
      throw error;
    return await add(jsm, { ...wanted, max_bytes: bytes });
  }
}

const NO_PLACES = 10005;
/** nats-server errors.json: no server of a cluster, the memory, storage, or account has so much. */
export const NO_ROOM_CODES: ReadonlySet<number> = new Set([10002, 10005, 10023, 10028, 10047]);

async function readConfig(jsm: JetStreamManager, name: string): Promise<StreamConfig | undefined> {
  return (await findStream(jsm, name))?.config;
}

/**
 * What differs from what was wanted: old servers drop settings silently (NATS.md §0.8). Replicas and
 * the age of peers may differ, people change them; a memory stream in place of a file may not.
 */
function mismatches(wanted: Wanted, found: StreamConfig): string[] {
  const checked: readonly (keyof StreamConfig)[] = [
    'subjects',
    'storage',
    'retention',
    'allow_atomic',
    'max_msgs_per_subject',
    'discard',
    'discard_new_per_subject',
    'allow_direct',
    'allow_rollup_hdrs',
    'republish',
    'no_ack',
  ];
  const isBestEffort = wanted.name === LOG_STREAM;
  const problems = checked
    .filter((key) => wanted[key] !== undefined && !(isBestEffort && key === 'storage'))
    .filter((key) => !includes(found[key], wanted[key]))
    .map((key) => `${key} is ${JSON.stringify(found[key])}, not ${JSON.stringify(wanted[key])}`);
  if (found.max_age > 0 && wanted.max_age === undefined)
    problems.push('max_age is set, so facts would vanish');
  if (found.persist_mode === 'async' && !isBestEffort)
    problems.push('persist_mode async loses acknowledged facts');
  return problems;
}

/** Equal, or an object with more members than were asked for. */
function includes(found: unknown, wanted: unknown): boolean {
  if (typeof wanted !== 'object' || wanted === null || Array.isArray(wanted))
    return JSON.stringify(found) === JSON.stringify(wanted);
  if (typeof found !== 'object' || found === null) return false;
  const members = new Map<string, unknown>(Object.entries(found));
  return Object.entries(wanted).every(([key, value]) => includes(members.get(key), value));
}
