import type {
  ContainerExit,
  ExitReport,
  FailureKind,
  Offer,
  StartProblem,
  Usage,
} from '@podmesh/core';
import { unreachable } from '@podmesh/core';
import { mebibytes } from '../machine/mebibytes.ts';
import type { AttemptProblem } from './attempt-failure.ts';
import { failureOfOrder, type StopOrder } from './stop-order.ts';

/** The one failure kind of an attempt whose container ran; undefined for a success so far. */
export function failureOfExit(
  offer: Offer,
  exit: ContainerExit,
  stopped: StopOrder | undefined,
): AttemptProblem | undefined {
  if (stopped !== undefined) return failureOfOrder(stopped);
  if (exit.oomKilled) {
    const { memoryBytes } = offer.requirements;
    const message = `used more than its ${mebibytes(memoryBytes)} of memory; ask for more with needs.memory`;
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
