import type { ContainerCommands } from '@podmesh/testkit/conformance';

const sh = (script: string, ...args: string[]) => ['/bin/sh', '-c', script, 'sh', ...args];

/** What the conformance suite wants done, in the busybox image. */
export const BUSYBOX_COMMANDS: ContainerCommands = {
  exits: (code) => sh(`exit ${code}`),
  prints: (stdout, stderr) => sh('printf %s "$1"; printf %s "$2" >&2', stdout, stderr),
  copies: (from, to) => ['cp', '-r', from, to],
  fills: (path) =>
    sh(
      'mkdir -p "$1/sub"; echo a >"$1/a.txt"; echo run >"$1/sub/run"; chmod +x "$1/sub/run"; ' +
        'ln -s ../a.txt "$1/sub/link"',
      path,
    ),
  writesTo: (fd, text) => sh(`printf %s "$1" >&${fd}`, text),
  waits: () => sh('trap "exit 143" TERM; echo ready; while :; do sleep 0.02; done'),
  waitsDeafly: () => sh('trap "" TERM; echo ready; while :; do sleep 1; done'),
};
