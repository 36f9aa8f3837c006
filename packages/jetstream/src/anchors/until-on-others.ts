import type { StreamInfo } from '@nats-io/jetstream';
import { type MeshConnection, monotonicMs } from '../mesh-connection.ts';
import { MeshSilentError } from '../mesh-errors.ts';
import { isAborted, pause } from '../pause.ts';
import { LOG_STREAM } from '../subjects.ts';
import { streamNames } from '../wanted-streams.ts';
import type { ClusterAdmin } from './cluster-admin.ts';

/** Of one stream; who waits for longer, because it is large, asks again. */
const MOVED_MS = 60_000;
const LOOK_MS = 200;

export interface UntilOnOthersOptions {
  /** What there was to wait for ends with the server. */
  readonly isGone?: () => Promise<boolean>;
  /** Servers that do not answer: nobody waits for their copies. */
  readonly silent?: readonly string[];
  /** Of a stream that is going to have fewer copies than now. */
  readonly copies?: number;
  readonly signal?: AbortSignal;
}

/**
 * Resolves when no stream of the mesh has a copy on this server, and all other copies have everything; or when the server
 * `isGone` before it. Throws a retryable `MeshSilentError` when it takes long.
 */
export async function untilOnOthers(
  mesh: MeshConnection,
  server: string,
  { isGone = async () => false, silent = [], copies, signal }: UntilOnOthersOptions = {},
): Promise<void> {
  for (const stream of streamNames()) {
    const isSo = async () => {
      const info = await mesh.jsm.streams.info(stream).catch(() => undefined);
      const hasLeft =
        info !== undefined && isWhole(info, silent, copies) && !placesOf(info).includes(server);
      return hasLeft || (await isGone());
    };
    await until(`stream ${stream} does not leave ${server}`, isSo, signal);
  }
}

/**
 * Resolves when of every stream a majority of the copies is on servers other than these, with everything. Taken out before
 * that, a server that is merely cut off would take along what only it and others of these have.
 */
export async function untilLedByOthers(
  mesh: MeshConnection,
  silent: readonly string[],
  signal?: AbortSignal,
): Promise<void> {
  // Live output may have one copy only, and be lost with it.
  for (const stream of streamNames().filter((name) => name !== LOG_STREAM)) {
    const isSo = async () => {
      const info = await mesh.jsm.streams.info(stream).catch(() => undefined);
      if (info === undefined || !isWhole(info, silent, 1)) return false;
      const others = placesOf(info).filter((server) => !silent.includes(server));
      return (
        !silent.includes(info.cluster?.leader ?? '') && others.length * 2 > placesOf(info).length
      );
    };
    await until(`stream ${stream} has no majority without ${silent.join(', ')}`, isSo, signal);
  }
}

/** Moves everything off a server that works, and takes it out of the cluster; safe to repeat. */
export async function retireServer(
  admin: ClusterAdmin,
  mesh: MeshConnection,
  server: string,
  signal?: AbortSignal,
): Promise<void> {
  await admin.evacuate(server);
  await untilOnOthers(mesh, server, signal === undefined ? {} : { signal });
  await admin.remove(server);
}

/** Whether all copies that were asked for are there, and those that can be are behind in nothing. */
export function isWhole(
  { config, cluster }: StreamInfo,
  silent: readonly string[],
  copies: number = config.num_replicas,
): boolean {
  const others = cluster?.replicas ?? [];
  return (
    cluster?.leader !== undefined &&
    others.length >= Math.min(copies, config.num_replicas) - 1 &&
    others.every(
      ({ name, current, offline, lag }) =>
        silent.includes(name) || (current && offline !== true && (lag ?? 0) === 0),
    )
  );
}

async function until(
  why: string,
  isSo: () => Promise<boolean>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const deadline = monotonicMs() + MOVED_MS;
  while (!(await isSo())) {
    if (monotonicMs() > deadline || isAborted(signal)) throw new MeshSilentError(why);
    await pause(LOOK_MS, signal);
  }
}

const placesOf = ({ cluster }: StreamInfo): readonly string[] => [
  cluster?.leader ?? '',
  ...(cluster?.replicas ?? []).map(({ name }) => name),
];
