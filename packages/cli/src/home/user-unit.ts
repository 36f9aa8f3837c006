import { execFile } from 'node:child_process';

/** How a program ended; 127 where there is none of that name. */
export interface ProgramEnd {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Programs of the system that only look or switch something, and end by themselves. */
export type SystemProgram = (name: string, words: readonly string[]) => Promise<ProgramEnd>;

const PROGRAM_MS = 60_000;
const NOT_THERE = 127;

export const runSystemProgram: SystemProgram = (name, words) =>
  new Promise((resolve) => {
    execFile(name, [...words], { timeout: PROGRAM_MS }, (error, out, err) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : NOT_THERE;
      resolve({ code, out, err: err || (error?.message ?? '') });
    });
  });

/** What the unit of one user says; `deploy/systemd/podmesh.service` is the same with names for the paths. */
export function unitText(paths: {
  readonly node: string;
  readonly podmesh: string;
  /** Where it is not the usual one. */
  readonly home?: string;
  /** What "podmesh up" is told to leave what runs, if anything. */
  readonly graceMs?: number;
}): string {
  const home =
    paths.home === undefined ? '' : `Environment=${quoted(`PODMESH_HOME=${paths.home}`)}\n`;
  return `# The peer of one user. "podmesh service install" puts it into ~/.config/systemd/user with the paths of this installation;
# nothing here needs root. There is no unit for nats-server: a daemon that carries its mesh runs and watches its own.
[Unit]
Description=podmesh: this machine is a peer
# Podman's and the mesh's trouble passes: never give up.
StartLimitIntervalSec=0

[Service]
Type=exec
${home}# What "podmesh up" takes beside this file stands in PODMESH_UP_OPTIONS; addresses with tokens in PODMESH_NATS.
EnvironmentFile=-%h/.config/podmesh/environment
ExecStart=${word(paths.node)} ${word(paths.podmesh)} up $PODMESH_UP_OPTIONS
Restart=on-failure
RestartSec=5
# Tasks have the --grace of that file to end, and outputs half a minute to get to others: "podmesh service install"
# knows how long that is. Containers outlive a daemon and are adopted by the next one.
KillMode=mixed
TimeoutStopSec=${stopSeconds(paths.graceMs ?? 0)}
# Limits of tasks are cgroups below this one.
Delegate=yes
# A daemon that the kernel kills for memory comes back; its tasks go first.
OOMPolicy=continue

[Install]
WantedBy=default.target
`;
}

/** At least two minutes; or the grace, half a minute for outputs to get to others, and another for the rest. */
const stopSeconds = (graceMs: number): number => Math.max(120, Math.ceil(graceMs / 1_000) + 60);

/** A word of a command line (systemd.service(5)), where a dollar would be a variable. */
const word = (text: string): string => quoted(text.replaceAll('$', '$$$$'));

/** As systemd reads words (systemd.syntax(7)); a percent sign would be a specifier. */
function quoted(text: string): string {
  const plain = text.replaceAll('%', '%%');
  return /^[A-Za-z0-9@%/._=:-]+$/.test(plain)
    ? plain
    : `"${plain.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}
