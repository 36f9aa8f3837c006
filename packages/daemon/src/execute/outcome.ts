import type {
  ContainerExit,
  ExitReport,
  Failure,
  FailureKind,
  Offer,
  StartProblem,
  Usage,
} from '@podmesh/core';
import { unreachable } from '@podmesh/core';

/** Why a container was ended by us before it ended by itself. */
export type StopReason = 'timeout' | 'lease-lost' | 'cancelled' | 'drained';

/** The one failure kind of an attempt whose container ran; undefined for a success so far. */
export function failureOfExit(
  offer: Offer,
  exit: ContainerExit,
  stopped: StopReason | undefined,
): Pick<Failure, 'kind' | 'message'> | undefined {
  if (stopped !== undefined) return { kind: stopped, message: stopMessage(offer, stopped) };
  if (exit.oomKilled) {
    const mebibytes = Math.round(offer.requirements.memoryBytes / 2 ** 20);
    const message = `used more than its ${mebibytes} MiB of memory; ask for more with needs.memory`;
    return { kind: 'oom-task', message };
  }
  if (exit.signal !== undefined) {
    return { kind: 'exit', message: `the command was ended by ${exit.signal}` };
  }
  if (exit.code !== 0) return { kind: 'exit', message: `the command exited with ${exit.code}` };
  return undefined;
}

/** The failure kind of a container that never ran. */
export function failureOfStart(problem: StartProblem): { kind: FailureKind; message: string } {
  switch (problem.kind) {
    case 'command':
      return { kind: 'exit', message: problem.message };
    case 'disk':
      return { kind: 'disk-host', message: problem.message };
    case 'runtime':
      return { kind: 'start-failed', message: problem.message };
    default:
      return unreachable(problem.kind);
  }
}

export function reportExit(exit: ContainerExit): ExitReport {
  const { code, signal, startedAt, finishedAt } = exit;
  return { ...(signal === undefined ? { code } : { signal }), startedAt, finishedAt };
}

export function reportUsage(exit: ContainerExit): Usage {
  const { wallMs, cpuMs, maxRssBytes } = exit;
  return {
    wallMs,
    ...(cpuMs === undefined ? {} : { cpuMs }),
    ...(maxRssBytes === undefined ? {} : { maxRssBytes }),
  };
}

function stopMessage(offer: Offer, stopped: StopReason): string {
  switch (stopped) {
    case 'timeout':
      return `ran longer than its ${offer.timeoutMs / 1000} s; give it more with timeout`;
    case 'lease-lost':
      return 'the peer could not extend its claim, so it stopped the container';
    case 'cancelled':
      return 'the run was cancelled';
    case 'drained':
      return 'the peer was stopped by its owner';
    default:
      return unreachable(stopped);
  }
}
