import type { StreamInfo } from '@nats-io/jetstream';
import { type MeshConnection, monotonicMs } from '../mesh-connection.ts';
import { MeshSilentError } from '../mesh-errors.ts';
import { streamNames } from '../mesh-streams.ts';
import { isAborted, pause } from '../pause.ts';

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
    const deadline = monotonicMs() + MOVED_MS;
    for (;;) {
      const info = await mesh.jsm.streams.info(stream).catch(() => undefined);
      if (info !== undefined && isWhole(info, silent, copies) && !placesOf(info).includes(server))
        break;
      if (await isGone()) return;
      if (monotonicMs() > deadline || isAborted(signal))
        throw new MeshSilentError(`stream ${stream} does not leave ${server}`);
      await pause(LOOK_MS, signal);
    }
  }
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

const placesOf = ({ cluster }: StreamInfo): readonly string[] => [
  cluster?.leader ?? '',
  ...(cluster?.replicas ?? []).map(({ name }) => name),
];
