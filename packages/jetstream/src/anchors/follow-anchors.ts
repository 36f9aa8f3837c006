import type { AnchorRecord } from '@podmesh/core';
import type { MeshConnection } from '../mesh-connection.ts';
import { isAborted, jittered, pause } from '../pause.ts';
import { AnchorBook } from './anchor-book.ts';

/** A record changes once in weeks; who misses it finds it this late, and at once after a reconnect. */
const LOOK_MS = 10_000;
/** Servers that have just begun cannot be asked yet, and may be gone again before the next look. */
const AGAIN_MS = 1_000;

/**
 * Keeps a connection told of the servers that carry the mesh, until the signal aborts. A record of a lower generation
 * than one that was seen is never followed. `onRecord` hears of each new one; it must not throw. `lookMs`: how often it
 * looks where nothing happens.
 */
export async function followAnchors(
  mesh: MeshConnection,
  onRecord: (record: AnchorRecord) => void,
  signal: AbortSignal,
  lookMs = LOOK_MS,
): Promise<void> {
  const book = new AnchorBook(mesh);
  let known = 0;
  let restMs = AGAIN_MS;
  while (!isAborted(signal) && !mesh.isClosed) {
    const record = await book.read().catch(() => 'silence' as const);
    if (isAborted(signal)) return;
    if (record !== undefined && record !== 'silence' && record.generation > known) {
      known = record.generation;
      mesh.useServers(record.anchors.map(({ client }) => client));
      onRecord(record);
    }
    restMs = record === 'silence' ? Math.min(lookMs, 2 * restMs) : lookMs;
    const isNews = await untilNews(mesh, restMs, signal);
    if (isNews || record !== 'silence') restMs = AGAIN_MS;
  }
}

/** Whether it is connected anew, or for good no more, before the time is over. */
async function untilNews(
  mesh: MeshConnection,
  restMs: number,
  signal: AbortSignal,
): Promise<boolean> {
  const news = new AbortController();
  const forget = mesh.onStatus(({ kind }) => {
    if (kind === 'connected' || kind === 'closed') news.abort();
  });
  await pause(jittered(restMs), AbortSignal.any([signal, news.signal]));
  forget();
  return news.signal.aborted;
}
