import type { StreamInfo } from '@nats-io/jetstream';
import { type MeshConnection, monotonicMs } from '../mesh-connection.ts';
import { MeshSilentError } from '../mesh-errors.ts';
import { streamNames } from '../mesh-streams.ts';
import { pause } from '../pause.ts';
import { isCurrent } from './copy-stream.ts';

/** All that there is may have to be copied. */
const MOVED_MS = 10 * 60_000;
const LOOK_MS = 200;

/**
 * Resolves when no stream of the mesh has a copy on this server, and all other copies have everything; or when the server
 * `isGone` before it.
 */
export async function untilOnOthers(
  mesh: MeshConnection,
  server: string,
  isGone: () => Promise<boolean> = async () => false,
): Promise<void> {
  const deadline = monotonicMs() + MOVED_MS;
  for (const stream of streamNames()) {
    for (;;) {
      const info = await mesh.jsm.streams.info(stream).catch(() => undefined);
      if (info !== undefined && isCurrent(info) && !placesOf(info).includes(server)) break;
      if (await isGone()) return;
      if (monotonicMs() > deadline)
        throw new MeshSilentError(`stream ${stream} does not leave ${server}`);
      await pause(LOOK_MS);
    }
  }
}

const placesOf = ({ cluster }: StreamInfo): readonly string[] => [
  cluster?.leader ?? '',
  ...(cluster?.replicas ?? []).map(({ name }) => name),
];
