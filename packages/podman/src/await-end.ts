import type { Readable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { ContainerLostError, type LogSink } from '@podmesh/core';
import { type DemuxPosition, OutputDemux } from './output-demux.ts';
import type { ContainerAnswer } from './podman-answers.ts';
import type { PodmanApi } from './podman-api.ts';
import { PodmanUnreachableError } from './podman-errors.ts';
import * as limits from './podman-limits.ts';

const NEVER_STARTED = ['created', 'configured', 'initialized'];
const RUNNING = ['running', 'paused', 'stopping'];

/** Whether Podman's word for a state means that the command may still do something. */
export const isRunning = (status: string): boolean => RUNNING.includes(status);

/**
 * Hands all output to the sink, then resolves with the container's final state. The end of the
 * attached stream is the news of the exit: Podman's own wait polls. A container outlives Podman's
 * service; when the connection breaks, Podman's copy of the log is read from its beginning and what
 * was seen is skipped. Without `attached` that copy is all there is; without a sink nothing is read.
 */
export async function awaitEnd(
  api: PodmanApi,
  id: string,
  sink: LogSink | undefined,
  attached?: Readable,
): Promise<ContainerAnswer> {
  const { socketPath } = api;
  const seen: DemuxPosition = { stdout: 0, stderr: 0 };
  let stream = attached;
  let brokenSinceMs: number | undefined;
  for (;;) {
    try {
      if (sink !== undefined) {
        stream ??= await reopen(api, id);
        brokenSinceMs = undefined;
        await drain(stream, sink, seen, { socketPath, isAttached: stream === attached });
      }
      // Asked at once: were the service dead, this would fail, and the stream's end mean nothing.
      return await exitOf(api, id);
    } catch (error) {
      if (!(error instanceof PodmanUnreachableError)) throw error;
      stream = undefined;
      brokenSinceMs ??= performance.now();
      if (performance.now() - brokenSinceMs > limits.UNREACHABLE_MS_MAX) throw error;
      await pause(limits.UNREACHABLE_RETRY_MS);
    }
  }
}

async function reopen(api: PodmanApi, id: string): Promise<Readable> {
  await inspectOurs(api, id);
  return await api.logs(id);
}

async function drain(
  stream: Readable,
  sink: LogSink,
  seen: DemuxPosition,
  { socketPath, isAttached }: { readonly socketPath: string; readonly isAttached: boolean },
): Promise<void> {
  const demux = new OutputDemux(sink, seen);
  try {
    for await (const chunk of stream) demux.push(chunk);
    // Podman's copy of the log tells whose words these were, and what may be missing before them.
    if (demux.isBroken && isAttached)
      throw new Error('Podman lost its connection to the container');
    demux.flush();
  } catch (error) {
    throw new PodmanUnreachableError(socketPath, error);
  } finally {
    stream.destroy();
    seen.stdout = Math.max(seen.stdout, demux.position.stdout);
    seen.stderr = Math.max(seen.stderr, demux.position.stderr);
  }
}

/** A command may close its outputs and work on: then Podman is asked, often at first, seldom later. */
async function exitOf(api: PodmanApi, id: string): Promise<ContainerAnswer> {
  const startMs = performance.now();
  for (;;) {
    const answer = await inspectOurs(api, id);
    if (!isRunning(answer.State.Status)) return answer;
    const soon = performance.now() - startMs < limits.EXIT_SOON_MS_MAX;
    if (soon)
      await api.awaitCondition(id, 'stopped', limits.EXIT_POLL_MS_SOON, limits.EXIT_SOON_MS_MAX);
    else
      await api.awaitCondition(id, 'stopped', limits.EXIT_POLL_MS_LATER, limits.EXIT_WAIT_ROUND_MS);
  }
}

async function inspectOurs(api: PodmanApi, id: string): Promise<ContainerAnswer> {
  const answer = await api.inspect(id);
  if (answer === undefined) throw new ContainerLostError(id, 'was removed by somebody else');
  if (NEVER_STARTED.includes(answer.State.Status)) {
    throw new ContainerLostError(id, 'was created but never started');
  }
  return answer;
}
