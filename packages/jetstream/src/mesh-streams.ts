import {
  JetStreamApiError,
  type JetStreamManager,
  type StreamConfig,
  type StreamInfo,
} from '@nats-io/jetstream';
import { findStream } from './find-stream.ts';
import { MeshSilentError, StreamMismatchError } from './mesh-errors.ts';
import { noteMeshVersion, refuseOtherMesh } from './mesh-version.ts';
import { pause } from './pause.ts';
import { ARCHIVE_STREAM, ARTIFACT_STREAM, LOG_STREAM } from './subjects.ts';
import { type EnsureStreamsOptions, type Wanted, wantedStreams } from './wanted-streams.ts';

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
    const found = SPARE.has(wanted.name)
      ? await orSilent(jsm, wanted.name)
      : await findStream(jsm, wanted.name);
    if (found === 'silent') continue;
    if (found === undefined && wanted.name === ARCHIVE_STREAM) continue;
    let config = found?.config;
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

const OBJECT_STORE_BYTES_MIN = 1024 * 1024 * 1024;

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
