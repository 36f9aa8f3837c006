import type { Msg } from '@nats-io/transport-node';
import { type ChunkSource, type PeerId, PortError, RELAY_SERVES_MAX } from '@podmesh/core';
import { type MeshConnection, monotonicMs } from './mesh-connection.ts';
import { MessageBox } from './message-box.ts';
import { onAbort } from './on-abort.ts';
import { isAborted, pause } from './pause.ts';
import { asking } from './port-error.ts';
import { RecentChunks } from './recent-chunks.ts';
import { flushed, type RelayConnection } from './relay-connection.ts';
import {
  decodeRelayQuestion,
  encodeChunkList,
  partOf,
  type RelayQuestion,
  relayHeaders,
} from './relay-message.ts';
import { RELAY_PART_MS, type RelayOptions, relayBucket } from './relay-transport.ts';
import { askerOfInbox, relaySubject } from './subjects.ts';
import type { TokenBucket } from './token-bucket.ts';

/** Questions, of 44 bytes each, that wait until others were answered; who asks beyond them is told to come back. */
const WAITING_MAX = 4 * RELAY_SERVES_MAX;
const BUSY_AFTER_MS = 500;
/** Questions that wait for this thread. */
const UNREAD_MAX = 256;

interface Waiting {
  readonly question: RelayQuestion;
  readonly reply: string;
  /** Nobody waits for the answer any more. */
  readonly lateAt: number;
}

/**
 * Gives bytes of this peer's store to those that only the server connects with it. Questions come in over
 * the connection of control messages, since they are small; answers leave over the relay's own.
 */
export class RelaySource {
  readonly #mesh: MeshConnection;
  readonly #relay: RelayConnection;
  readonly #bucket: TokenBucket;
  readonly #partMs: number;

  constructor(mesh: MeshConnection, relay: RelayConnection, options: RelayOptions = {}) {
    this.#mesh = mesh;
    this.#relay = relay;
    this.#bucket = relayBucket(options);
    this.#partMs = options.partMs ?? RELAY_PART_MS;
  }

  /** Serves until the signal aborts. */
  async serve(peer: PeerId, source: ChunkSource, signal: AbortSignal): Promise<void> {
    if (isAborted(signal)) return;
    const box = await asking(
      'serve artifacts through the relay',
      async () => new MessageBox(this.#mesh, relaySubject(peer), UNREAD_MAX),
    );
    const chunks = new RecentChunks(source);
    const waiting: Waiting[] = [];
    let serving = 0;
    const serveMore = (): void => {
      while (serving < RELAY_SERVES_MAX && !isAborted(signal)) {
        const next = waiting.shift();
        if (next === undefined) return;
        serving += 1;
        // Whatever broke it, nobody is there to be told: who gets no answer asks again.
        void this.#serveOne(next, source, chunks, signal)
          .catch(() => undefined)
          .finally(() => {
            serving -= 1;
            serveMore();
          });
      }
    };
    try {
      while (!isAborted(signal)) {
        const arrival = await box.next(Number.POSITIVE_INFINITY, signal);
        if (arrival.kind !== 'message') continue;
        const one = this.#read(arrival.message);
        if (one === undefined) continue;
        if (waiting.length >= WAITING_MAX) this.#refuse(one.reply, 'busy');
        else waiting.push(one);
        serveMore();
      }
    } finally {
      box.close();
      chunks.clear();
    }
  }

  /** Undefined for what is no question, or wants its answer where no asker can be. */
  #read({ data, reply }: Msg): Waiting | undefined {
    const question = decodeRelayQuestion(data);
    if (question === undefined || reply === undefined) return undefined;
    if (askerOfInbox(reply) === undefined) return undefined;
    return { question, reply, lateAt: monotonicMs() + this.#partMs };
  }

  async #serveOne(
    { question, reply, lateAt }: Waiting,
    source: ChunkSource,
    chunks: RecentChunks,
    signal: AbortSignal,
  ): Promise<void> {
    if (monotonicMs() > lateAt) return;
    const bytes = await inTime(bytesOf(question, source, chunks), this.#partMs, signal);
    if (isAborted(signal) || bytes === 'late') return;
    if (bytes === undefined || bytes.length === 0) return this.#refuse(reply, 'not-here');
    await this.#bucket.wait(bytes.length, signal);
    try {
      await this.#relay.use(signal, async (connection) => {
        const headers = relayHeaders('ok');
        await asking('relay a part', async () => connection.nc.publish(reply, bytes, { headers }));
        // Counts as served when the server has it: a slow line holds up the next part, and fills no memory.
        await flushed(connection, this.#partMs);
      });
    } catch (error) {
      if (!isAborted(signal) && !(error instanceof PortError)) throw error;
    }
  }

  #refuse(reply: string, status: 'busy' | 'not-here'): void {
    if (!this.#mesh.isConnected || this.#mesh.isClosed) return;
    const headers = relayHeaders(status, status === 'busy' ? BUSY_AFTER_MS : undefined);
    this.#mesh.nc.publish(reply, new Uint8Array(0), { headers });
  }
}

async function bytesOf(
  question: RelayQuestion,
  source: ChunkSource,
  chunks: RecentChunks,
): Promise<Uint8Array | undefined> {
  if (question.kind === 'list') {
    try {
      const list = await source.chunkList(question.artifact);
      return list === undefined ? undefined : partOf(encodeChunkList(list), question.part);
    } catch {
      // The store tells about its disk itself; to who asks, it is not here.
      return undefined;
    }
  }
  const bytes = await chunks.read(question.chunk);
  return bytes === undefined ? undefined : partOf(bytes, question.part);
}

/** A disk that hangs may not keep a place that others could be served in. */
async function inTime<T>(work: Promise<T>, ms: number, signal: AbortSignal): Promise<T | 'late'> {
  const over = new AbortController();
  const ignoreAbort = onAbort(signal, () => over.abort());
  const late = pause(ms, over.signal).then(() => 'late' as const);
  return Promise.race([work, late]).finally(() => {
    ignoreAbort();
    over.abort();
  });
}
