import {
  DiscardPolicy,
  PersistMode,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
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

/** A stream as it is to be. */
export type Wanted = Partial<StreamConfig> & Pick<StreamConfig, 'name' | 'subjects'>;

/** 128 MiB of live output; the full log becomes an artifact. */
const LIVE_LOG_BYTES_MAX = 128 * 1024 * 1024;
const LIVE_LOG_AGE_MS_MAX = 60 * 60 * 1_000;
/** Sealed secrets of a run that nobody ended vanish after this long; the others go with their run. */
const SECRETS_AGE_MS_MAX = 90 * 24 * 60 * 60 * 1_000;
/** A year is an invitation's longest life; told for some more, so that a late guest learns why. */
const INVITATION_AGE_MS_MAX = 400 * 24 * 60 * 60 * 1_000;
/** What a tag has meant; a bucket's longest history (ADR-8). */
const TAG_HISTORY_MAX = 64;

/** Of every stream of a mesh. */
export const streamNames = (): readonly string[] =>
  wantedStreams({ replicas: 1 }).map(({ name }) => name);

/** Every stream with its settings. Buckets follow the layouts of ADR-8 and ADR-20, so the nats tool reads them. */
export function wantedStreams({ replicas, peerTtlMs }: EnsureStreamsOptions): readonly Wanted[] {
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
