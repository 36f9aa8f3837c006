import { type MeshConnection, monotonicMs } from '../mesh-connection.ts';
import { MeshSilentError } from '../mesh-errors.ts';
import { isAborted, pause } from '../pause.ts';
import { asking } from '../port-error.ts';
import { LOG_STREAM } from '../subjects.ts';
import { untilAnswered } from '../until-answered.ts';
import { streamNames } from '../wanted-streams.ts';
import { isWhole } from './until-on-others.ts';

/** Of one stream; who waits for longer, because it is large, asks again. */
const WHOLE_MS = 60_000;
const LOOK_MS = 200;

/**
 * Gives every stream of a cluster so many copies, one after the other, while all are used; resolves when the copies have
 * everything, but for those of silent servers, which get it when they are there again. Three copies on five servers would
 * survive one loss, not two. Safe to repeat; throws a retryable error.
 */
export async function scaleStreams(
  mesh: MeshConnection,
  replicas: 3 | 5,
  signal?: AbortSignal,
  silent: readonly string[] = [],
): Promise<void> {
  for (const stream of streamNames()) {
    const { config } = await infoOf(mesh, stream);
    if (isSpare(stream, config)) continue;
    const what = `keep ${replicas} copies of stream ${stream}`;
    if (config.num_replicas !== replicas)
      await asking(what, () => mesh.jsm.streams.update(stream, { num_replicas: replicas }));
    const deadline = monotonicMs() + WHOLE_MS;
    while (!isWhole(await infoOf(mesh, stream), silent)) {
      if (monotonicMs() > deadline || isAborted(signal)) throw new MeshSilentError(what);
      await pause(LOOK_MS, signal);
    }
  }
}

/** Whether every stream is to have so many copies already, wherever they are now. */
export async function areScaled(mesh: MeshConnection, replicas: 3 | 5): Promise<boolean> {
  for (const stream of streamNames()) {
    const { config } = await infoOf(mesh, stream);
    if (!isSpare(stream, config) && config.num_replicas !== replicas) return false;
  }
  return true;
}

/** Live output of a mesh that was one server has one copy; it may be lost, and is made anew. */
const isSpare = (stream: string, { num_replicas }: { readonly num_replicas: number }): boolean =>
  stream === LOG_STREAM && num_replicas === 1;

const infoOf = (mesh: MeshConnection, stream: string) =>
  untilAnswered(`look at stream ${stream}`, () => mesh.jsm.streams.info(stream));
