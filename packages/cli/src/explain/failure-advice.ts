import { type FailureKind, unreachable } from '@podmesh/core';

/** What a person can do about a failure of that kind; `target` is `RUN/TASK`. */
export function failureAdvice(kind: FailureKind, target: string): readonly string[] {
  const log = `What it wrote: podmesh logs ${target}`;
  switch (kind) {
    case 'exit':
      return [
        log,
        'Correct the command or its inputs and publish again; "retries" helps where it fails by chance.',
      ];
    case 'oom-task':
      return [log, 'Give it more "memory" under "needs".'];
    case 'disk-task':
      return [log, 'Give it more "disk" under "needs".'];
    case 'timeout':
      return [log, 'Give it a longer "timeout", or make it do less.'];
    case 'output-missing':
      return [log, 'Compare "outputs" of the job with where the command writes to.'];
    case 'start-failed':
      return [
        'Look at the first word of "command": the image may not have that program.',
        'On that machine: podmesh doctor',
      ];
    case 'image-unavailable':
      return [
        'Check "container" for slips; load the image on a peer (podman pull, podman load), or write its full name with a registry.',
      ];
    case 'image-platform':
      return [
        'Use an image for the machines of the mesh (podmesh peers), or ask for the right one with "arch" under "needs".',
      ];
    case 'input-missing':
      return ['Publish again: what is missing is uploaded, or made again.'];
    case 'oom-host':
    case 'disk-host':
      return [
        'Free memory or disk space on that machine, or let it offer less: podmesh up --memory, --disk',
        'On that machine: podmesh doctor',
      ];
    case 'peer-lost':
    case 'lease-lost':
    case 'drained':
      return [
        'Publish again when the machines are steady; what has succeeded comes from the cache.',
        'Who is there: podmesh peers',
      ];
    case 'cancelled':
    case 'dependency-failed':
      return ['Publish again; what has succeeded comes from the cache.'];
    case 'internal':
      return [log, "Please report it, with the end of that machine's daemon.log."];
    default:
      return unreachable(kind);
  }
}
