import type { StreamInfo } from '@nats-io/jetstream';
import { type MeshConnection, monotonicMs } from '../mesh-connection.ts';
import { MeshAnswerError, MeshSilentError } from '../mesh-errors.ts';
import { isAborted, pause } from '../pause.ts';
import { asking } from '../port-error.ts';
import { LOG_STREAM } from '../subjects.ts';
import { untilAnswered } from '../until-answered.ts';
import { streamNames } from '../wanted-streams.ts';

/** Of one stream, through elections. */
const GATHERED_MS = 60_000;
const LOOK_MS = 100;
const STEP_DOWN_MS = 5_000;

/**
 * Gives every stream of a cluster one copy, on this server, while all are used: that one leads first, then the others are
 * given up, so that nothing has to be copied. Live output is left out: it is best effort, and made anew. Resolves when
 * each stream, and what hands out its messages, is on this server alone. Safe to repeat; throws a retryable error.
 */
export async function gatherStreams(
  mesh: MeshConnection,
  server: string,
  signal?: AbortSignal,
): Promise<void> {
  for (const stream of gathered()) {
    const what = `keep the only copy of stream ${stream} on ${server}`;
    const deadline = monotonicMs() + GATHERED_MS;
    while (!(await gatherOne(mesh, stream, server))) {
      if (monotonicMs() > deadline || isAborted(signal)) throw new MeshSilentError(what);
      await pause(LOOK_MS, signal);
    }
  }
  for (const stream of gathered())
    if (!(await isGathered(mesh, stream, server)))
      throw new MeshSilentError(`stream ${stream} left ${server} again`);
}

const gathered = (): readonly string[] => streamNames().filter((name) => name !== LOG_STREAM);

/** One step of it; whether there was none to make. */
async function gatherOne(mesh: MeshConnection, stream: string, server: string): Promise<boolean> {
  const info = await mesh.jsm.streams.info(stream).catch(() => undefined);
  const leader = info?.cluster?.leader;
  if (info === undefined || leader === undefined) return false;
  if (leader !== server) await stepDown(mesh, stream, server);
  else if (info.config.num_replicas !== 1)
    await asking(`keep one copy of stream ${stream}`, () =>
      mesh.jsm.streams.update(stream, { num_replicas: 1 }),
    ).catch(orPassing);
  else return isGathered(mesh, stream, server);
  return false;
}

async function isGathered(mesh: MeshConnection, stream: string, server: string): Promise<boolean> {
  const what = `look at stream ${stream}`;
  const info = await untilAnswered(what, () => mesh.jsm.streams.info(stream));
  if (info.config.num_replicas !== 1 || !isOn(info, server)) return false;
  const consumers = await untilAnswered(what, () => mesh.jsm.consumers.list(stream).next());
  // Readers of one program are made anew by it.
  return consumers.every((one) => one.config.durable_name === undefined || isOn(one, server));
}

const isOn = ({ cluster }: Pick<StreamInfo, 'cluster'>, server: string): boolean =>
  cluster?.leader === server && (cluster.replicas ?? []).length === 0;

/** Refused while the server is behind: the next look asks again. */
async function stepDown(mesh: MeshConnection, stream: string, server: string): Promise<void> {
  const order = JSON.stringify({ placement: { preferred: server } });
  await mesh
    .request(`$JS.API.STREAM.LEADER.STEPDOWN.${stream}`, order, { timeoutMs: STEP_DOWN_MS })
    .catch(() => undefined);
}

/** Servers that just elect a leader answer late; a refusal is one for good. */
function orPassing(error: unknown): void {
  if (error instanceof MeshAnswerError) throw error;
}
