import {
  type ActionDigest,
  type ArtifactId,
  type AskingAttempt,
  actionDigest,
  artifactId,
  type LaneId,
  laneId,
  type PeerId,
  type RunEvent,
  type RunId,
  runId,
  type TaskId,
  taskId,
  unreachable,
} from '@podmesh/core';

/**
 * Every subject, key, stream, bucket and consumer name of podmesh is built and parsed here and
 * nowhere else. Ids are safe as subject tokens by their shape (core/words/ids.ts); a task id may
 * hold one `:`, which subjects allow and KV keys do not, so no key is ever made of a task.
 */

export const RUN_STREAM = 'PM_RUN';
export const OFFER_STREAM = 'PM_OFFER';
export const DRIVE_STREAM = 'PM_DRIVE';
export const LOG_STREAM = 'PM_LOG';
export const PEER_BUCKET = 'pm-peers';
export const LANE_BUCKET = 'pm-lanes';
export const RESULT_BUCKET = 'pm-results';
export const ARTIFACT_BUCKET = 'pm-artifacts';
export const SECRET_BUCKET = 'pm-secrets';
export const SECRET_STREAM = `KV_${SECRET_BUCKET}`;
export const IMAGE_BUCKET = 'pm-images';
export const IMAGE_STREAM = `KV_${IMAGE_BUCKET}`;
/** What is in image archives that jobs left. */
export const ARCHIVE_BUCKET = 'pm-archives';
export const ARCHIVE_STREAM = `KV_${ARCHIVE_BUCKET}`;
/** What everybody must know of the mesh itself: which servers carry it. */
export const MESH_BUCKET = 'pm-mesh';
export const MESH_STREAM = `KV_${MESH_BUCKET}`;
export const PEER_STREAM = `KV_${PEER_BUCKET}`;
export const SLEEPER_BUCKET = 'pm-sleepers';
export const SLEEPER_STREAM = `KV_${SLEEPER_BUCKET}`;
export const LANE_STREAM = `KV_${LANE_BUCKET}`;
export const RESULT_STREAM = `KV_${RESULT_BUCKET}`;
export const ARTIFACT_STREAM = `OBJ_${ARTIFACT_BUCKET}`;

export const RUN_SUBJECTS = 'pm.run.>';
export const OFFER_SUBJECTS = 'pm.offer.>';
export const DRIVE_SUBJECTS = 'pm.drive.*';
export const LOG_SUBJECTS = 'pm.log.>';
export const ALL_GRAPHS = 'pm.run.*.graph';
export const ALL_CONTROLS = 'pm.run.*.control';
export const ALL_ENDS = 'pm.run.*.end';
export const ALL_TASKS = 'pm.run.*.task.*';
export const ALL_SPAWNS = 'pm.run.*.spawn.*';
export const ALL_PINS = 'pm.run.*.pin.*';

/** Who was invited, who is a member, and when each member was there last. */
export const INVITATION_BUCKET = 'pm-invitations';
export const MEMBER_BUCKET = 'pm-members';
export const SEEN_BUCKET = 'pm-seen';
export const streamOfBucket = (bucket: string): string => `KV_${bucket}`;
export const MEMBER_HINTS = 'pm.hint.member.>';

/** The server repeats cancellations and new lanes here once they are stored: hints for core subscribers. */
export const CANCELLED_HINTS = 'pm.hint.cancelled.*';
export const CANCELLED_HINT_TARGET = 'pm.hint.cancelled.$1';
export const LANE_HINTS = 'pm.hint.lane.>';

/** The subject an event is appended to: one per task, one per task that spawns, one each for graph, control and end. */
export function eventSubject(event: RunEvent): string {
  switch (event.kind) {
    case 'run-published':
      return graphSubject(event.run);
    case 'run-cancel-requested':
      return controlSubject(event.run);
    case 'input-pinned':
      return pinSubject(event.run, event.source);
    case 'tasks-spawned':
    case 'sub-tasks-dropped':
    case 'budget-spent':
      return spawnSubject(event.run, event.parent);
    case 'run-ended':
    // In one row with the end, so that each is refused to whoever has not seen the other.
    case 'outputs-lost':
      return endSubject(event.run);
    case 'attempt-started':
    case 'attempt-succeeded':
    case 'attempt-failed':
    case 'attempt-lost':
    case 'task-cached':
    case 'task-released':
    case 'task-cancelled':
    case 'outputs-kept':
    case 'job-expanded':
    case 'expansion-failed':
    case 'when-decided':
      return taskSubject(event.run, event.task);
    default:
      return unreachable(event);
  }
}

export const controlSubject = (run: RunId): string => `pm.run.${run}.control`;
export const endSubject = (run: RunId): string => `pm.run.${run}.end`;
export const taskSubject = (run: RunId, task: TaskId): string => `pm.run.${run}.task.${task}`;
/** One for each source; `source` is 64 hex digits. */
export const pinSubject = (run: RunId, source: string): string => `pm.run.${run}.pin.${source}`;
/** Apart from the task's own facts, so that who makes an attempt may spawn beside whoever tells how it goes. */
export const spawnSubject = (run: RunId, parent: TaskId): string => `pm.run.${run}.spawn.${parent}`;
export const runSubjects = (run: RunId): string => `pm.run.${run}.>`;
const graphSubject = (run: RunId): string => `pm.run.${run}.graph`;
export const isGraphSubject = (subject: string): boolean => lastToken(subject) === 'graph';
/** Everything of a run but its end; the graph last, because by it a run with a log is known. */
export const runLogSubjects = (run: RunId): readonly string[] => [
  `pm.run.${run}.task.*`,
  `pm.run.${run}.pin.*`,
  `pm.run.${run}.spawn.*`,
  controlSubject(run),
  graphSubject(run),
];

/** The run a `pm.run.<run>.…`, `pm.drive.<run>` or `pm.hint.cancelled.<run>` subject speaks of. */
export function runOfSubject(subject: string): RunId {
  const tokens = subject.split('.');
  const at = tokens[1] === 'hint' ? 3 : 2;
  return runId(tokens[at] ?? '');
}

export const offerSubject = (lane: LaneId, run: RunId, task: TaskId): string =>
  `pm.offer.${lane}.${run}.${task}`;
export const laneSubjects = (lane: LaneId): string => `pm.offer.${lane}.>`;
export const runOfferSubjects = (run: RunId): string => `pm.offer.*.${run}.*`;
export const laneConsumer = (lane: LaneId): string => `lane-${lane}`;

/** The task of a `pm.offer.<lane>.<run>.<task>` subject. */
export const taskOfOfferSubject = (subject: string): TaskId => taskId(subject.split('.')[4] ?? '');

export const driveSubject = (run: RunId): string => `pm.drive.${run}`;
export const DRIVE_CONSUMER = 'drives';

export const logSubject = (run: RunId, task: TaskId, attempt: number): string =>
  `pm.log.${run}.${task}.${attempt}`;
export const logSubjects = (run: RunId, task?: TaskId): string =>
  task === undefined ? `pm.log.${run}.>` : `pm.log.${run}.${task}.*`;

/** The parts of a `pm.log.<run>.<task>.<attempt>` subject. */
export function parseLogSubject(subject: string): { run: RunId; task: TaskId; attempt: number } {
  const [, , run = '', task = '', attempt = ''] = subject.split('.');
  return { run: runId(run), task: taskId(task), attempt: Number(attempt) };
}

/** Here peers are asked to release tasks that are held, by those who may not write what tasks do. */
export const releaseRequestSubject = (run: RunId): string => `pm.release.${run}`;
export const RELEASE_REQUESTS = 'pm.release.*';
export const runOfReleaseRequest = (subject: string): RunId => runId(lastToken(subject));

/** Everything that an attempt may say and hear; its parts may be placeholders. */
export const taskSubjects = ({ run, task, claim }: Record<'run' | 'task' | 'claim', string>) => ({
  says: `pm.task.${run}.${task}.${claim}.>`,
  hears: `pm.task.${run}.${task}.${claim}.inbox.>`,
});
export const TASK_SUBJECTS = 'pm.task.>';

/** Here somebody with an invitation asks to be let in. */
export const joinSubject = (joiner: string): string => `pm.join.${joiner}`;
export const JOIN_SUBJECTS = 'pm.join.*';
/** Where a machine asks for what it has as a member, anew: the server lets nobody ask in another one's name. */
export const renewSubject = (member: string): string => `pm.renew.${member}`;
export const RENEW_SUBJECTS = 'pm.renew.*';
/** The same of a person: whoever has only the credentials of a machine's user must not get what the machine gets. */
export const userRenewSubject = (member: string): string => `pm.renew.user.${member}`;
export const USER_RENEW_SUBJECTS = 'pm.renew.user.*';

/** Everybody is asked here at once who has an artifact; answers go to the asker's inbox. */
export const WHO_HAS_SUBJECT = 'pm.who';
/** Here a peer is asked to keep outputs of others. */
export const keepSubject = (peer: PeerId): string => `pm.keep.${peer}`;
export const KEEP_SUBJECTS = 'pm.keep.*';
/** Here a peer is told to drain, or to wake another. */
export const orderSubject = (peer: PeerId): string => `pm.order.${peer}`;
export const ORDER_SUBJECTS = 'pm.order.*';
/** Everybody is told here which outputs need no pins any more. */
export const KEEP_RELEASE_SUBJECT = 'pm.released';
/** Here a peer is asked for chunks by those whom only the server connects with it. */
export const relaySubject = (peer: PeerId): string => `pm.relay.${peer}`;
export const RELAY_SUBJECTS = 'pm.relay.*';

/** A stream that is made and removed to see whether servers take streams. */
export const PROBE_STREAM = 'PM_PROBE';
export const PROBE_SUBJECT = 'pm.probe';
/** The record of the servers that carry the mesh, in `MESH_BUCKET`. */
export const ANCHORS_KEY = 'anchors';
/** Here the daemon of a peer is told by an anchor to begin or end being one. */
export const anchorOrderSubject = (peer: PeerId): string => `pm.anchor.${peer}.order`;
/** Here whoever moves the mesh is asked whether it still does. */
export const anchorQuestionSubject = (peer: PeerId): string => `pm.anchor.${peer}.trying`;
export const ANCHOR_ORDERS = 'pm.anchor.*.order';
export const ANCHOR_QUESTIONS = 'pm.anchor.*.trying';
/** Requests of the server's own API that move streams and servers. */
export const streamSnapshotSubject = (stream: string): string =>
  `$JS.API.STREAM.SNAPSHOT.${stream}`;
export const streamRestoreSubject = (stream: string): string => `$JS.API.STREAM.RESTORE.${stream}`;
export const EVACUATE_SUBJECT = '$JS.API.SERVER.EVACUATE';
export const RESCUE_SUBJECT = '$JS.API.META.RESCUE';
export const REMOVE_SERVER_SUBJECT = '$JS.API.SERVER.REMOVE';
export const SERVERS_SUBJECT = '$SYS.REQ.SERVER.PING.JSZ';

/** Peers that have secrets of a run are asked here for a sealed box of them. */
export const BOX_SUBJECT = 'pm.box';
/** Sealed boxes of a run, one key for each peer. */
export const boxKey = (run: RunId, peer: PeerId): string => `${run}.${peer}`;
export const boxKeys = (run: RunId): string => `${run}.*`;

/** Where a member's requests are answered by the server; nobody else may publish or listen there. */
export const inboxPrefix = (member: string | undefined): string =>
  member === undefined ? '_INBOX' : `_INBOX.${member}`;

/** Who is asked for in a mesh without members: one with a token, where all may do all. */
const NOBODY = 'all';
/** All that peers may answer to; apart from inboxes, so that no peer can answer in the server's place. */
export const ANSWERS = 'pm.answer.>';
export const answersTo = (member: string): string => `pm.answer.${member}.>`;
/** Inbox of one question to peers; below it one subject for each part of the answer. */
export const inboxSubject = (member: string | undefined, asker: string, question: number): string =>
  `pm.answer.${member ?? NOBODY}.${asker}.${question}`;
export const inboxPartSubject = (inbox: string, part: number): string => `${inbox}.${part}`;
export const inboxPartSubjects = (inbox: string): string => `${inbox}.*`;
export const partOfInbox = (subject: string): number => Number(lastToken(subject));

/**
 * Who asks, from the inbox that it wants the answer in. Undefined for what is no inbox: whoever answers
 * there could be made to write into a stream.
 */
export const askerOfInbox = (inbox: string | undefined): string | undefined =>
  /^pm\.answer\.[A-Za-z0-9_-]{1,64}\.([A-Za-z0-9_-]{1,64})(\.[A-Za-z0-9_-]{1,64}){1,2}$/.exec(
    inbox ?? '',
  )?.[1];

/**
 * The same of an asker that is no podmesh: tools have inboxes of their own shapes. What they have in common is
 * the beginning, which no stream's subjects have.
 */
export const anyAskerOfInbox = (inbox: string | undefined): string | undefined =>
  /^(_INBOX[A-Za-z0-9_-]{0,64}\.[A-Za-z0-9_-]{1,64})(\.[A-Za-z0-9_-]{1,64}){0,4}$/.exec(
    inbox ?? '',
  )?.[1];

/** By this name the discovery of NATS micro-services (ADR-32) knows peers. */
export const SERVICE_NAME = 'podmesh-peer';
/** Where everybody, all peers, and this peer are asked; the token in between is PING, INFO or STATS. */
export const serviceSubjects = (peer: PeerId): readonly string[] => [
  '$SRV.*',
  `$SRV.*.${SERVICE_NAME}`,
  `$SRV.*.${SERVICE_NAME}.${peer}`,
];
/** Here a peer tells how it does. */
export const statusSubject = (peer: PeerId): string => `pm.status.${peer}`;
/** Everything that discovery asks of peers. */
export const SERVICE_QUESTIONS = ['$SRV.>', 'pm.status.*'];
/** Here the peer that makes an attempt is asked by it; a later attempt of the task has another claim. */
export const taskApiSubject = ({ run, task, claim }: AskingAttempt): string =>
  `pm.task.${run}.${task}.${claim}`;
export const taskApiSubjects = (attempt: AskingAttempt): string =>
  `${taskApiSubject(attempt)}.*.v1.>`;
/** Where an attempt listens for its answers; nobody else may. */
export const taskInbox = (attempt: AskingAttempt): string => `${taskApiSubject(attempt)}.inbox`;

/** Method and path of `pm.task.<run>.<task>.<claim>.GET.v1.tasks.<id>`; undefined for what asks nothing. */
export function parseTaskApiSubject(subject: string): { method: string; path: string } | undefined {
  const [, , , , , method = '', ...path] = subject.split('.');
  if (!/^[A-Z]{1,10}$/.test(method) || path.length === 0) return undefined;
  // The one path that has a dot in it.
  return {
    method,
    path: `/${path.join('/')}`.replace(/^\/v1\/openapi\/json$/, '/v1/openapi.json'),
  };
}

export const bucketSubjects = (bucket: string): string => `$KV.${bucket}.>`;
export const laneKey = (lane: LaneId): string => lane;
export const peerKey = (peer: PeerId): string => peer;
export const sleeperKey = (peer: PeerId): string => peer;
/** All behind the bucket's name: whoever writes there may write under what is no peer's id. */
export const peerOfSleeperSubject = (subject: string): string =>
  subject.slice(`$KV.${SLEEPER_BUCKET}.`.length);
export const archiveKey = (archive: ArtifactId): string => archive.slice('sha256:'.length);
export const laneOfSubject = (subject: string): LaneId => laneId(lastToken(subject));

export const resultKey = (action: ActionDigest): string => action.slice('sha256:'.length);
export const resultSubject = (action: ActionDigest): string =>
  `$KV.${RESULT_BUCKET}.${resultKey(action)}`;
export const actionOfSubject = (subject: string): ActionDigest =>
  actionDigest(`sha256:${lastToken(subject)}`);

/** Repositories and tags have characters that keys must not have. */
export const tagKey = (repository: string, tag: string): string =>
  `tag.${base64Url(repository)}.${base64Url(tag)}`;
export const tagSubjects = (repository?: string): string =>
  `$KV.${IMAGE_BUCKET}.tag.${repository === undefined ? '*' : base64Url(repository)}.*`;
export const manifestKey = (repository: string, digest: ArtifactId): string =>
  `manifest.${base64Url(repository)}.${digest.slice('sha256:'.length)}`;
export const manifestSubjects = (repository: string): string =>
  `$KV.${IMAGE_BUCKET}.manifest.${base64Url(repository)}.*`;

/** Who asks elsewhere for an image: no part of any list of tags or manifests. */
export const mirrorKey = (image: string): string => `mirror.${base64Url(image)}`;

/** The parts of a `$KV.<bucket>.tag.<repository>.<tag>` subject. */
export function parseTagSubject(subject: string): { repository: string; tag: string } {
  const [, , , repository = '', tag = ''] = subject.split('.');
  return { repository: fromBase64Url(repository), tag: fromBase64Url(tag) };
}

/** Object name of an artifact; the object store's layout (ADR-20) encodes names in base64. */
export const artifactName = (artifact: ArtifactId): string => artifact.slice('sha256:'.length);
export const artifactOfName = (name: string): ArtifactId => artifactId(`sha256:${name}`);
export const artifactMetaSubject = (artifact: ArtifactId): string =>
  `$O.${ARTIFACT_BUCKET}.M.${paddedBase64Url(artifactName(artifact))}`;
export const isArtifactName = (name: string): boolean => /^[0-9a-f]{64}$/.test(name);
/** Beside the artifacts, as an empty object: what a sweep announces has to be in the order of what it is about. */
export const SWEEP_NAME = 'podmesh-sweep';
export const sweepSubject = `$O.${ARTIFACT_BUCKET}.M.${paddedBase64Url(SWEEP_NAME)}`;
export const ARTIFACT_METAS = `$O.${ARTIFACT_BUCKET}.M.>`;
export const ARTIFACT_CHUNKS = `$O.${ARTIFACT_BUCKET}.C.>`;
export const nuidOfChunkSubject = (subject: string): string => lastToken(subject);
export const artifactChunkSubject = (nuid: string): string => `$O.${ARTIFACT_BUCKET}.C.${nuid}`;
export const ARTIFACT_SUBJECTS = [ARTIFACT_CHUNKS, ARTIFACT_METAS];

function lastToken(subject: string): string {
  return subject.slice(subject.lastIndexOf('.') + 1);
}

/** ADR-20 wants base64url *with* padding, which Node's own encoding leaves out. */
function paddedBase64Url(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64').replaceAll('+', '-').replaceAll('/', '_');
}

const base64Url = (text: string): string => Buffer.from(text, 'utf8').toString('base64url');
const fromBase64Url = (text: string): string => Buffer.from(text, 'base64url').toString('utf8');
