import { type FailureKind, unreachable } from '@podmesh/core';
import { bytesText } from '../render/amounts.ts';

/** What is known of the attempt that failed. */
export interface FailedAttempt {
  readonly kind: FailureKind;
  /** `RUN/TASK`. */
  readonly target: string;
  /** The most memory it was seen to use. */
  readonly maxRssBytes?: number | undefined;
  /** What it had asked for. */
  readonly memoryBytes?: number | undefined;
}

const CACHED = 'What has succeeded, and may be cached, is not run again.';

/** What a person can do about a failure. */
export function failureAdvice(attempt: FailedAttempt): readonly string[] {
  const { kind, target } = attempt;
  const log = `What it wrote: podmesh logs ${target}`;
  switch (kind) {
    case 'exit':
      return [
        log,
        'Correct the command or its inputs and publish again; "retries": {"exit": 2} helps where it fails by chance.',
        'A program that was not found has to be in the image: look at the first word of "command".',
      ];
    case 'oom-task':
      return [log, memoryAdvice(attempt)];
    case 'disk-task':
      return [
        log,
        'Give it more "disk" under "needs", or make it write less: what it writes counts, and its outputs.',
      ];
    case 'timeout':
      return [
        log,
        'Give it a longer "timeout", or make it do less; "retries": {"timeout": 1} helps where it hangs by chance.',
      ];
    case 'output-missing':
      return [
        log,
        'Compare "outputs" of the job with where the command writes to, and what: a file for "file:", a directory for "dir:".',
      ];
    case 'start-failed':
      return [
        'Nothing of it ran, and its command is not to blame: the machine could not start a container, or its daemon was killed before it could.',
        'On that machine: podmesh doctor',
        `Publish again when it is in order. ${CACHED}`,
      ];
    case 'image-unavailable':
      return [
        'Check "container" for slips; build or load the image on a peer (podmesh image build, podman load), or write its full name with a registry.',
        'Those of podmesh itself (localhost/podmesh/…) are made by scripts/build-image.',
        'Where a tag was moved since, publish again.',
        'Which peers hold which images: podmesh image ls',
      ];
    case 'image-platform':
      return [
        'Use an image for the machines of the mesh (podmesh peers), or ask for the right one with "arch" under "needs".',
      ];
    case 'input-missing':
      return [
        'Publish again: local files are uploaded again, and outputs that are gone are made again.',
        'What the document names by its digest has to be stored first: podmesh put PATH',
      ];
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
        `Publish again when the machines are steady. ${CACHED}`,
        'Who is there: podmesh peers',
      ];
    case 'cancelled':
      return [`Publish again. ${CACHED}`];
    case 'dependency-failed':
      return [`Which one, and what to do about that: podmesh explain ${target}`];
    case 'internal':
      return [log, "Please report it, with the end of that machine's daemon.log."];
    default:
      return unreachable(kind);
  }
}

function memoryAdvice({ maxRssBytes, memoryBytes }: FailedAttempt): string {
  const used = maxRssBytes === undefined ? [] : [`it used ${bytesText(maxRssBytes)} at its peak`];
  const asked = memoryBytes === undefined ? [] : [`it had asked for ${bytesText(memoryBytes)}`];
  const known = [...used, ...asked].join(' and ');
  return `Give it more "memory" under "needs"${known === '' ? '' : `: ${known}`}.`;
}
