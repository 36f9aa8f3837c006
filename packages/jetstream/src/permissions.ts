import {
  ALL_CONTROLS,
  ALL_ENDS,
  ALL_GRAPHS,
  ALL_PINS,
  ALL_SPAWNS,
  ALL_TASKS,
  ANCHOR_ORDERS,
  ANCHOR_QUESTIONS,
  ANSWERS,
  ARCHIVE_BUCKET,
  ARCHIVE_STREAM,
  ARTIFACT_STREAM,
  ARTIFACT_SUBJECTS,
  anchorOrderSubject,
  anchorQuestionSubject,
  answersTo,
  BOX_SUBJECT,
  bucketSubjects,
  CANCELLED_HINTS,
  DRIVE_STREAM,
  DRIVE_SUBJECTS,
  IMAGE_BUCKET,
  IMAGE_STREAM,
  INVITATION_BUCKET,
  inboxPrefix,
  JOIN_SUBJECTS,
  joinSubject,
  KEEP_RELEASE_SUBJECT,
  KEEP_SUBJECTS,
  keepSubject,
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
  ORDER_SUBJECTS,
  orderSubject,
  PEER_BUCKET,
  PEER_STREAM,
  PROBE_STREAM,
  RELAY_SUBJECTS,
  RELEASE_REQUESTS,
  RENEW_SUBJECTS,
  RESULT_BUCKET,
  RESULT_STREAM,
  RUN_STREAM,
  relaySubject,
  renewSubject,
  SECRET_BUCKET,
  SECRET_STREAM,
  SEEN_BUCKET,
  SERVICE_QUESTIONS,
  SLEEPER_BUCKET,
  SLEEPER_STREAM,
  serviceSubjects,
  statusSubject,
  streamOfBucket,
  TASK_SUBJECTS,
  taskSubjects,
  USER_RENEW_SUBJECTS,
  userRenewSubject,
  WHO_HAS_SUBJECT,
} from './subjects.ts';
import { streamNames } from './wanted-streams.ts';

/** What a role may publish and subscribe to; the shape that `@podmesh/authority` puts into the account's token. */
interface RolePermissions {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
  readonly answersMs?: number;
  readonly payloadBytesMax?: number;
  readonly subscriptionsMax?: number;
}

type RoleName = 'peer' | 'user' | 'anchor' | 'task' | 'joiner' | 'system';

/** The server puts the member's name here, which is one token by its shape; peers are named by their id. */
const SELF = '{{name()}}';
const ATTEMPT = taskSubjects({
  run: '{{tag(run)}}',
  task: '{{tag(task)}}',
  claim: '{{tag(claim)}}',
});
const TASK_PAYLOAD_BYTES_MAX = 1024 * 1024;
const TASK_SUBSCRIPTIONS_MAX = 100;
const JOINER_SUBSCRIPTIONS_MAX = 4;

/**
 * What each role may do, as narrow as its code really needs. No role may create, change, empty or delete a stream,
 * but for two: an anchor makes the streams of the mesh and tidies the object store and logs of runs that are over, and
 * a peer may empty the queue of offers, which is a hint that is made again from the log.
 *
 * Its bounds, which are those of NATS: a consumer and a reply subject make the server publish in somebody's place, so
 * roles keep mistakes and stolen credentials small, they do not make a stranger a safe member.
 */
export function rolePermissions(): Readonly<Record<RoleName, RolePermissions>> {
  const peer: RolePermissions = {
    publish: peerPublishes(),
    subscribe: peerSubscribes(),
    // To what discovers services: such tools want answers in inboxes of their own.
    answersMs: 5_000,
  };
  return {
    peer,
    user: { publish: userPublishes(), subscribe: own() },
    anchor: {
      ...peer,
      publish: [...peer.publish, ...anchorPublishes()],
      subscribe: [
        ...peer.subscribe,
        JOIN_SUBJECTS,
        RENEW_SUBJECTS,
        USER_RENEW_SUBJECTS,
        '$JS.SNAPSHOT.ACK.>',
      ],
    },
    task: {
      publish: [ATTEMPT.says],
      subscribe: [ATTEMPT.hears],
      payloadBytesMax: TASK_PAYLOAD_BYTES_MAX,
      subscriptionsMax: TASK_SUBSCRIPTIONS_MAX,
    },
    joiner: {
      publish: [joinSubject(SELF)],
      subscribe: own(),
      subscriptionsMax: JOINER_SUBSCRIPTIONS_MAX,
    },
    system: { publish: systemPublishes(), subscribe: [...own(), '$SYS.>'] },
  };
}

/** Answers of the server, and of peers, to this member alone. */
const own = (): readonly string[] => [`${inboxPrefix(SELF)}.>`, answersTo(SELF)];

function userPublishes(): readonly string[] {
  return [
    ...mayConnect(),
    ALL_GRAPHS,
    ALL_CONTROLS,
    RELEASE_REQUESTS,
    DRIVE_SUBJECTS,
    ...ARTIFACT_SUBJECTS,
    // Sealed for peers before they leave; nobody but the peer named in the key can open one.
    bucketSubjects(SECRET_BUCKET),
    WHO_HAS_SUBJECT,
    RELAY_SUBJECTS,
    ORDER_SUBJECTS,
    // Its certificate, when that is about to end.
    userRenewSubject(SELF),
    ...SERVICE_QUESTIONS,
    ...[RUN_STREAM, LOG_STREAM, IMAGE_STREAM, ARTIFACT_STREAM].flatMap(mayRead),
    ...[PEER_STREAM, SLEEPER_STREAM].flatMap(mayLookUp),
    ...mayKnowMembers(),
    // Which runs are waited for, and whether a bucket is there.
    ...[DRIVE_STREAM, LANE_STREAM, RESULT_STREAM, SECRET_STREAM].map(mayLookAt),
  ];
}

function peerPublishes(): readonly string[] {
  return [
    ...mayConnect(),
    ALL_TASKS,
    ALL_SPAWNS,
    ALL_PINS,
    ALL_ENDS,
    OFFER_SUBJECTS,
    DRIVE_SUBJECTS,
    LOG_SUBJECTS,
    // Its own line in the list of peers.
    `$KV.${PEER_BUCKET}.${SELF}`,
    ...[
      LANE_BUCKET,
      RESULT_BUCKET,
      SECRET_BUCKET,
      IMAGE_BUCKET,
      ARCHIVE_BUCKET,
      SLEEPER_BUCKET,
    ].map(bucketSubjects),
    ...ARTIFACT_SUBJECTS,
    ANSWERS,
    WHO_HAS_SUBJECT,
    KEEP_SUBJECTS,
    KEEP_RELEASE_SUBJECT,
    RELAY_SUBJECTS,
    ORDER_SUBJECTS,
    BOX_SUBJECT,
    TASK_SUBJECTS,
    renewSubject(SELF),
    ANCHOR_QUESTIONS,
    ...[OFFER_STREAM, DRIVE_STREAM].flatMap(mayClaim),
    ...[RUN_STREAM, LOG_STREAM, LANE_STREAM, SECRET_STREAM, IMAGE_STREAM, ARTIFACT_STREAM].flatMap(
      mayRead,
    ),
    ...[PEER_STREAM, RESULT_STREAM, ARCHIVE_STREAM, SLEEPER_STREAM].flatMap(mayLookUp),
    ...mayKnowMembers(),
    `$JS.API.STREAM.PURGE.${OFFER_STREAM}`,
  ];
}

function peerSubscribes(): readonly string[] {
  return [
    ...own(),
    WHO_HAS_SUBJECT,
    memberSubject(keepSubject),
    KEEP_RELEASE_SUBJECT,
    memberSubject(relaySubject),
    memberSubject(orderSubject),
    memberSubject(anchorOrderSubject),
    memberSubject(anchorQuestionSubject),
    BOX_SUBJECT,
    ...serviceSubjects(SELF as never),
    statusSubject(SELF as never),
    RELEASE_REQUESTS,
    CANCELLED_HINTS,
    LANE_HINTS,
    MEMBER_HINTS,
    TASK_SUBJECTS,
  ];
}

function anchorPublishes(): readonly string[] {
  return [
    ...streamNames().flatMap((stream) => [
      `$JS.API.STREAM.CREATE.${stream}`,
      `$JS.API.STREAM.UPDATE.${stream}`,
      `$JS.API.STREAM.SNAPSHOT.${stream}`,
      `$JS.API.STREAM.RESTORE.${stream}`,
      `$JS.API.STREAM.LEADER.STEPDOWN.${stream}`,
      `$JS.API.STREAM.PEER.REMOVE.${stream}`,
      `$JS.API.CONSUMER.LIST.${stream}`,
      ...mayRead(stream),
    ]),
    ...[INVITATION_BUCKET, MEMBER_BUCKET, MESH_BUCKET].map(bucketSubjects),
    ANCHOR_ORDERS,
    '$JS.API.STREAM.LIST',
    // To see whether servers that were just started take streams.
    `$JS.API.STREAM.CREATE.${PROBE_STREAM}`,
    `$JS.API.STREAM.DELETE.${PROBE_STREAM}`,
    '$JS.SNAPSHOT.RESTORE.>',
    '$JS.SNAPSHOT.ACK.>',
    // Live output that is on a server that is gone is made anew on the others.
    `$JS.API.STREAM.DELETE.${LOG_STREAM}`,
    // What retention and sweeps remove; the server knows no narrower right than a stream.
    `$JS.API.STREAM.PURGE.${RUN_STREAM}`,
    `$JS.API.STREAM.PURGE.${ARTIFACT_STREAM}`,
    `$JS.API.STREAM.MSG.DELETE.${ARTIFACT_STREAM}`,
    `$JS.API.STREAM.MSG.DELETE.${RESULT_STREAM}`,
  ];
}

/** Servers and their cluster; `$JS.API.ACCOUNT.PURGE` and the streams of the mesh are not among it. */
function systemPublishes(): readonly string[] {
  return [
    '$SYS.REQ.CLAIMS.UPDATE',
    '$SYS.REQ.CLAIMS.LIST',
    '$SYS.REQ.SERVER.>',
    '$SYS.REQ.ACCOUNT.>',
    '$JS.API.META.>',
    '$JS.API.SERVER.>',
    '$JS.API.ACCOUNT.STREAM.MOVE.>',
  ];
}

/** Who is in the mesh, and to say that oneself is there. */
const mayKnowMembers = (): readonly string[] => [
  ...mayRead(streamOfBucket(MEMBER_BUCKET)),
  ...mayLookUp(streamOfBucket(SEEN_BUCKET)),
  // Which servers carry the mesh.
  ...mayLookUp(MESH_STREAM),
  // Whether it is there: what stands in it is for whoever holds the keys.
  mayLookAt(streamOfBucket(INVITATION_BUCKET)),
  `$KV.${SEEN_BUCKET}.${SELF}`,
];
const mayConnect = (): readonly string[] => ['$JS.API.INFO'];
const mayLookAt = (stream: string): string => `$JS.API.STREAM.INFO.${stream}`;

/** Single messages by subject or sequence. */
const mayLookUp = (stream: string): readonly string[] => [
  mayLookAt(stream),
  `$JS.API.STREAM.MSG.GET.${stream}`,
  `$JS.API.DIRECT.GET.${stream}`,
  `$JS.API.DIRECT.GET.${stream}.>`,
];

/** With a reader of its own; nothing but readers is ever made on these streams. */
const mayRead = (stream: string): readonly string[] => [
  ...mayLookUp(stream),
  // Without a subject behind it: of readers with several filters.
  `$JS.API.CONSUMER.CREATE.${stream}`,
  `$JS.API.CONSUMER.CREATE.${stream}.>`,
  `$JS.API.CONSUMER.INFO.${stream}.*`,
  `$JS.API.CONSUMER.MSG.NEXT.${stream}.*`,
  `$JS.API.CONSUMER.DELETE.${stream}.*`,
  `$JS.FC.${stream}.>`,
];

/** From consumers that all peers share; what was claimed is acknowledged, none of them is ever deleted. */
const mayClaim = (stream: string): readonly string[] => [
  mayLookAt(stream),
  `$JS.API.STREAM.MSG.GET.${stream}`,
  `$JS.API.CONSUMER.CREATE.${stream}.>`,
  `$JS.API.CONSUMER.INFO.${stream}.*`,
  `$JS.API.CONSUMER.MSG.NEXT.${stream}.*`,
  `$JS.ACK.${stream}.>`,
  // As newer servers name it, with domain and account in front.
  `$JS.ACK.*.*.${stream}.>`,
];

/** A subject made of a peer's id, with the member's own name in its place. */
const memberSubject = (subject: (peer: never) => string): string => subject(SELF as never);
