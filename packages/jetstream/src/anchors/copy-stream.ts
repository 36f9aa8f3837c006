import { PersistMode, type StreamConfig, type StreamInfo } from '@nats-io/jetstream';
import { createInbox, type Msg } from '@nats-io/transport-node';
import { type MeshConnection, monotonicMs } from '../mesh-connection.ts';
import { MeshAnswerError, MeshSilentError } from '../mesh-errors.ts';
import { NO_ROOM_CODES } from '../mesh-streams.ts';
import { pause } from '../pause.ts';
import { portError } from '../port-error.ts';
import { streamRestoreSubject, streamSnapshotSubject } from '../subjects.ts';

const ANSWER_MS = 10_000;
/** One chunk may wait for a disk that is busy. */
const CHUNK_MS = 30_000;
/** The server checks and indexes what it got. */
const FINISH_MS = 120_000;
/** Streams of a cluster, and their consumers, are there a while after the last chunk. */
const THERE_MS = 60_000;
const CHUNK_BYTES = 512 * 1024;
/** A restore that the server found too slow is begun again. */
const TRIES_MAX = 3;
const LOOK_MS = 20;
const BOUND_BYTES_MIN = 2 ** 30;
const CURRENT_MS = 120_000;

export interface StreamCopyOptions {
  readonly from: MeshConnection;
  readonly to: MeshConnection;
  readonly replicas: 1 | 3 | 5;
}

/** What was in a stream, as both sides count it. */
export interface CopiedStream {
  readonly stream: string;
  readonly messages: number;
  readonly bytes: number;
  readonly consumers: number;
}

/**
 * Copies a stream that nobody writes to, as it is: sequences, times, revisions of keys, consumers with what they have
 * handed out (NATS.md §4.6a). Throws when what arrived is not what was sent. Copying again what is there in part
 * removes it first: until the copy is declared the truth, it is nothing.
 */
export async function copyStream(
  stream: string,
  options: StreamCopyOptions,
): Promise<CopiedStream> {
  const { to } = options;
  let first: unknown;
  for (let tries = 1; ; tries++) {
    try {
      // What is begun again begins empty; without the right to remove it, the server says that it is there.
      if (tries > 1) await to.jsm.streams.delete(stream).catch(() => false);
      await transfer(stream, options);
      return await verify(stream, options);
    } catch (error) {
      // What is in the way of the next try says less than what went wrong.
      first ??= error;
      if (tries >= TRIES_MAX) throw portError(`copy stream ${stream}`, first);
    }
  }
}

/** Resolves when every replica of the stream has all of it: then none of them may be lost alone. */
export async function untilCurrent(
  mesh: MeshConnection,
  stream: string,
  timeoutMs = CURRENT_MS,
): Promise<void> {
  const deadline = monotonicMs() + timeoutMs;
  for (;;) {
    const info = await mesh.jsm.streams.info(stream).catch(() => undefined);
    if (info !== undefined && isCurrent(info)) return;
    if (monotonicMs() > deadline)
      throw new MeshSilentError(`stream ${stream} does not reach all of its servers`);
    await pause(LOOK_MS);
  }
}

/** Whether all replicas that were asked for are there and behind in nothing. */
export function isCurrent({ config, cluster }: StreamInfo): boolean {
  if (config.num_replicas === 1) return cluster === undefined || cluster.leader !== undefined;
  const others = cluster?.replicas ?? [];
  return (
    cluster?.leader !== undefined &&
    others.length === config.num_replicas - 1 &&
    others.every(({ current, offline, lag }) => current && offline !== true && (lag ?? 0) === 0)
  );
}

interface Snapshot {
  readonly config: StreamConfig;
  readonly state: { readonly bytes: number };
}

/** Every chunk is passed on before the next one is asked for: nothing piles up here, however large the stream is. */
async function transfer(stream: string, { from, to, replicas }: StreamCopyOptions): Promise<void> {
  const inbox = createInbox();
  const chunks = from.nc.subscribe(inbox);
  try {
    const order = { deliver_subject: inbox, no_consumers: false, chunk_size: CHUNK_BYTES };
    const { config, state } = await ask<Snapshot>(from, streamSnapshotSubject(stream), order);
    // Such a stream may be lost, and cannot have replicas.
    const copies = config.persist_mode === PersistMode.Async ? 1 : replicas;
    const target = await openRestore(to, { config: { ...config, num_replicas: copies }, state });
    for await (const chunk of chunks) {
      if (chunk.data.length === 0) break;
      refuseError(stream, await to.request(target, chunk.data, { timeoutMs: CHUNK_MS }));
      chunk.respond();
    }
    refuseError(stream, await to.request(target, '', { timeoutMs: FINISH_MS }));
  } finally {
    chunks.unsubscribe();
  }
}

/** A bound that the disks of the other servers have no room for is halved until they have. */
async function openRestore(to: MeshConnection, { config, state }: Snapshot): Promise<string> {
  const subject = streamRestoreSubject(config.name);
  try {
    return (await ask<{ deliver_subject: string }>(to, subject, { config, state })).deliver_subject;
  } catch (error) {
    const bytes = Math.floor(config.max_bytes / 2);
    const isTooMuch = error instanceof MeshAnswerError && NO_ROOM_CODES.has(error.code);
    if (!isTooMuch || bytes <= Math.max(state.bytes, BOUND_BYTES_MIN)) throw error;
    return openRestore(to, { config: { ...config, max_bytes: bytes }, state });
  }
}

async function ask<T>(mesh: MeshConnection, subject: string, order: object): Promise<T> {
  const answer = await mesh.request(subject, JSON.stringify(order), { timeoutMs: ANSWER_MS });
  refuseError(subject, answer);
  return answer.json<T>();
}

function refuseError(what: string, answer: Msg): void {
  if (answer.data.length === 0) return;
  const { error } = answer.json<{ error?: { err_code?: number; description?: string } }>();
  if (error === undefined) return;
  const { err_code: code = 0, description = 'no reason given' } = error;
  throw new MeshAnswerError(what, { code, description });
}

/** Consumers of a cluster are there a moment after their stream. */
async function verify(stream: string, { from, to }: StreamCopyOptions): Promise<CopiedStream> {
  const before = await countsOf(from, stream);
  const deadline = monotonicMs() + THERE_MS;
  for (;;) {
    const after = await countsOf(to, stream);
    if (JSON.stringify(before) === JSON.stringify(after)) break;
    if (monotonicMs() > deadline)
      throw new MeshAnswerError(`copy stream ${stream}`, {
        code: 0,
        description: `${JSON.stringify(after)} arrived of ${JSON.stringify(before)}`,
      });
    await pause(LOOK_MS);
  }
  const { messages, bytes, consumers } = before;
  return { stream, messages, bytes, consumers: consumers.length };
}

/** What must be the same on both sides. Of a stream whose messages age, only what cannot have aged meanwhile. */
async function countsOf(mesh: MeshConnection, stream: string) {
  const { state, config } = await untilThere(mesh, stream);
  const durable = [];
  for await (const consumer of mesh.jsm.consumers.list(stream)) {
    const { durable_name: name } = consumer.config;
    if (name === undefined) continue;
    const { num_ack_pending: held, num_pending: waiting, ack_floor: floor } = consumer;
    durable.push({ name, held, waiting, floor: floor.stream_seq });
  }
  durable.sort((a, b) => (a.name < b.name ? -1 : 1));
  const ages = config.max_age > 0;
  return {
    last: state.last_seq,
    messages: ages ? 0 : state.messages,
    bytes: ages ? 0 : state.bytes,
    first: ages || state.messages === 0 ? 0 : state.first_seq,
    consumers: durable,
  };
}

async function untilThere(mesh: MeshConnection, stream: string): Promise<StreamInfo> {
  const deadline = monotonicMs() + THERE_MS;
  for (;;) {
    try {
      const info = await mesh.jsm.streams.info(stream);
      if (info.cluster === undefined || info.cluster.leader !== undefined) return info;
    } catch (error) {
      if (monotonicMs() > deadline) throw error;
    }
    if (monotonicMs() > deadline) throw new MeshSilentError(`stream ${stream} has no leader`);
    await pause(LOOK_MS);
  }
}
