import type { StartProblem } from '@podmesh/core';

/**
 * crun's and runc's ways to say that the image has no such program, or that it is none. Podman's own
 * words for it are not among them: it says them of any file that was not found, a mount's too.
 */
const COMMAND = [
  /executable file (.* )?not found/i,
  /open executable: /i,
  /exec format error/i,
  /exec: ".*": (stat .*: )?(no such file or directory|permission denied|is a directory)/i,
  /no command or entrypoint provided/i,
];
const DISK = [/no space left on device/i, /disk quota exceeded/i];
/** The device that rootless networking opens, behind slirp4netns' and pasta's messages. */
const NET = [/\/dev\/net\/tun/i, /slirp4netns|pasta/i];

/** Sorts Podman's words into whose fault it is; what is not known is the machine's. */
export function startProblem(reason: string): StartProblem {
  const is = (patterns: readonly RegExp[]) => patterns.some((pattern) => pattern.test(reason));
  if (is(DISK)) return { kind: 'disk', message: `no space left to start the container: ${reason}` };
  if (is(COMMAND)) {
    return { kind: 'command', message: `the image cannot run this command: ${reason}` };
  }
  const advice = is(NET)
    ? '. Rootless networking does not work here; see: podmesh doctor'
    : '. If this repeats, see: podmesh doctor';
  return {
    kind: 'runtime',
    message: `Podman could not start the container: ${reason}${advice}`,
  };
}
