import type { AnchorRecord } from '@podmesh/core';
import type { MeshConnection } from '../mesh-connection.ts';
import { isAborted, jittered, pause } from '../pause.ts';
import { AnchorBook } from './anchor-book.ts';

/** A record changes once in weeks; who misses it finds it this late, and at once after a reconnect. */
const LOOK_MS = 10_000;

/**
 * Keeps a connection told of the servers that carry the mesh, until the signal aborts. A record of a lower generation
 * than one that was seen is never followed. `onRecord` hears of each new one; it must not throw.
 */
export async function followAnchors(
  mesh: MeshConnection,
  onRecord: (record: AnchorRecord) => void,
  signal: AbortSignal,
): Promise<void> {
  const book = new AnchorBook(mesh);
  let known = 0;
  while (!isAborted(signal)) {
    const record = await book.read().catch(() => undefined);
    if (isAborted(signal)) return;
    if (record !== undefined && record.generation > known) {
      known = record.generation;
      mesh.useServers(record.anchors.map(({ client }) => client));
      onRecord(record);
    }
    await untilNews(mesh, signal);
  }
}

async function untilNews(mesh: MeshConnection, signal: AbortSignal): Promise<void> {
  const news = new AbortController();
  const forget = mesh.onStatus(({ kind }) => {
    if (kind === 'connected' || kind === 'closed') news.abort();
  });
  await pause(jittered(LOOK_MS), AbortSignal.any([signal, news.signal]));
  forget();
}
