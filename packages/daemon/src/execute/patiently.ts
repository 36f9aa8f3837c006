import { type Clock, PortError } from '@podmesh/core';
import { isFullDisk } from '../store/disk-full-error.ts';

/** How long an attempt waits for a service of its machine, or the mesh, that does not answer. */
const PATIENCE_MS = 60_000;
const PATIENCE_STEP_MS = 500;

/**
 * Podman's service and the mesh may be away for a while: work that can be repeated waits for them. Not for room on a
 * disk: what could be evicted was, and other peers may have some.
 */
export async function patiently<T>(
  work: () => Promise<T>,
  { clock, stop }: { readonly clock: Clock; readonly stop: AbortSignal },
): Promise<T> {
  const untilMs = clock.nowMs() + PATIENCE_MS;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      const passing = error instanceof PortError && error.retryable && !isFullDisk(error);
      if (!passing || stop.aborted || clock.nowMs() >= untilMs) throw error;
      await clock.sleep(PATIENCE_STEP_MS, stop);
    }
  }
}
