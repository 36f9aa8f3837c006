import { execFile, spawn } from 'node:child_process';
import { open, readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { connect } from '@nats-io/transport-node';
import { EmbeddedServerError } from './mesh-errors.ts';
import type { NatsServerFiles } from './nats-server-files.ts';
import { pause } from './pause.ts';

/** A nats-server that runs, be it our child or the child of a daemon that is gone. */
export interface ServerProcess {
  readonly pid: number;
  readonly hasExited: boolean;
  /** How it ended, in words. */
  readonly exited: Promise<string>;
  signal(name: 'SIGTERM' | 'SIGKILL'): void;
}

const ANSWER_MS = 1_000;
/** A process that is not our child can only be asked whether it is still there. */
const WATCH_MS = 200;

/**
 * Starts the server in a session of its own, so that Ctrl-C at a terminal reaches the daemon alone,
 * which ends its work first. Its output goes to files: a pipe would end with the daemon.
 */
export async function spawnServer(path: string, files: NatsServerFiles): Promise<ServerProcess> {
  const output = await open(files.errors, 'w', 0o600);
  try {
    const child = spawn(path, ['-c', files.config], {
      detached: true,
      stdio: ['ignore', output.fd, output.fd],
    });
    let hasExited = false;
    const exited = new Promise<string>((resolve) => {
      const end = (how: string): void => {
        hasExited = true;
        resolve(how);
      };
      child.once('error', (error) => end(error.message));
      child.once('exit', (code, signal) => end(signal ?? `exit code ${code}`));
    });
    const { pid } = child;
    if (pid === undefined)
      throw new EmbeddedServerError(`${path} could not be started: ${await exited}`);
    await files.rememberPid(pid);
    return {
      pid,
      get hasExited() {
        return hasExited;
      },
      exited,
      signal: (name) => void child.kill(name),
    };
  } finally {
    await output.close();
  }
}

/** The process, if it is alive and really a server of this configuration: pids are used again. */
export async function adoptProcess(
  pid: number,
  config: string,
): Promise<ServerProcess | undefined> {
  if (!(await commandLine(pid)).includes(config)) return undefined;
  let hasExited = false;
  const watch = async (): Promise<string> => {
    while (isAlive(pid)) await pause(WATCH_MS);
    hasExited = true;
    return 'it ended';
  };
  return {
    pid,
    get hasExited() {
      return hasExited;
    },
    exited: watch(),
    signal: (name) => {
      if (isAlive(pid)) process.kill(pid, name);
    },
  };
}

/** Whether our server (not a stranger's) answers there with our token. */
export async function answers(served: string, token: string, name: string): Promise<boolean> {
  try {
    const nc = await connect({
      servers: served,
      token,
      name: 'podmesh-ready-check',
      timeout: ANSWER_MS,
      reconnect: false,
    });
    const ours = nc.info?.server_name === name && nc.info.jetstream === true;
    await nc.close();
    return ours;
  } catch {
    return false;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** From `/proc` on Linux, from `ps` elsewhere; empty when there is no such process. */
async function commandLine(pid: number): Promise<string> {
  if (!isAlive(pid)) return '';
  try {
    return (await readFile(`/proc/${pid}/cmdline`, 'utf8')).replaceAll('\0', ' ');
  } catch {
    const { stdout } = await promisify(execFile)('ps', ['-o', 'args=', '-p', `${pid}`]).catch(
      () => ({ stdout: '' }),
    );
    return stdout;
  }
}
