import { availableParallelism } from 'node:os';
import type { Clock, ContainerExit, LimitsEnforced, Offer, RunningContainer } from '@podmesh/core';
import { KILL_GRACE_MS } from '@podmesh/core';
import { watchedBounds, watchLimits } from './limit-watch.ts';
import { leavesGrace, orderOf, type StopOrder, timedOut } from './stop-order.ts';

/** Rest before a container is told again to stop. */
const STOP_AGAIN_MS = 200;

export interface Supervision {
  readonly clock: Clock;
  readonly offer: Offer;
  /** What is left of its time limit. */
  readonly leftMs: number;
  /** What holds the task to its limits besides us. */
  readonly limits: LimitsEnforced;
  /** Aborts with a `StopOrder` as its reason. */
  readonly stop: AbortSignal;
  /** Told what CPU time it has used so far, of a task with a budget; must not throw. */
  readonly onCpu?: (cpuMs: number) => void;
}

/** Waits for a container's end, and ends it when its time is up, it exceeds a limit, or we are told to. */
export async function supervise(
  container: RunningContainer,
  { clock, offer, leftMs, limits, stop, onCpu }: Supervision,
): Promise<{ exit: ContainerExit; stopped: StopOrder | undefined }> {
  const ended = new AbortController();
  let stopped: StopOrder | undefined;
  const end = (order: StopOrder): void => {
    if (ended.signal.aborted) return;
    // Whatever grace was given before, an order without any takes it back.
    if (stopped !== undefined && leavesGrace(order)) return;
    stopped ??= order;
    void stopForSure(container, { clock, order, ended: ended.signal });
  };
  const onStop = (): void => end(orderOf(stop));
  const timer = clock.sleep(leftMs, ended.signal).then(() => end(timedOut(offer)));
  const bounds = watchedBounds(offer.requirements, limits, offer.cpuLeftMs);
  let cpuMs: number | undefined;
  const noteCpu = (used: number): void => {
    cpuMs = used;
    onCpu?.(used);
  };
  // What nobody holds to its cores uses those of others as well.
  const cores = limits.cpus === 'kernel' ? offer.requirements.cpus : availableParallelism();
  const watching = { clock, ended: ended.signal, cores, onCpu: noteCpu };
  void watchLimits(container, bounds, watching).then((order) => order && end(order));
  stop.addEventListener('abort', onStop, { once: true });
  if (stop.aborted) onStop();
  try {
    const exit = await container.wait();
    // Where nobody can tell at the end, what was seen last counts against the budget.
    const used = exit.cpuMs ?? cpuMs;
    return { exit: { ...exit, ...(used === undefined ? {} : { cpuMs: used }) }, stopped };
  } finally {
    // A reason of our own: the default one is an exception with a stack, made for every task.
    ended.abort('ended');
    stop.removeEventListener('abort', onStop);
    await timer;
  }
}

/** Podman's service may be away for a moment: a stop that was not heard is said again. */
async function stopForSure(
  container: RunningContainer,
  { clock, order, ended }: { clock: Clock; order: StopOrder; ended: AbortSignal },
): Promise<void> {
  for (let grace = leavesGrace(order) ? KILL_GRACE_MS : 0; !ended.aborted; grace = 0) {
    try {
      await container.stop(grace);
      return;
    } catch {
      await clock.sleep(STOP_AGAIN_MS, ended);
    }
  }
}
