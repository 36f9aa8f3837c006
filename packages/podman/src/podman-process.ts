import { spawn } from 'node:child_process';
import { mkdir, open, readFile, rm, writeFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Env } from './find-socket.ts';
import { PodmanApi } from './podman-api.ts';
import { PodmanMissingError } from './podman-errors.ts';
import * as limits from './podman-limits.ts';

/** Whether Podman answers at this socket. */
export async function answers(socketPath: string): Promise<boolean> {
  const api = new PodmanApi(socketPath);
  try {
    await api.ping();
    return true;
  } catch {
    return false;
  } finally {
    api.close();
  }
}

/** Where and with what a service of our own runs. */
export interface ProcessPlace {
  readonly podman: string;
  readonly env: Env;
  readonly directory: string;
  readonly socketPath: string;
}

/**
 * Starts `podman system service` and resolves when it answers. It has a session of its own, so that Ctrl-C for the
 * daemon does not end it before the daemon has settled its containers; its words go to a file, since
 * a pipe would break, and kill it, when the daemon dies.
 */
export async function spawnService(place: ProcessPlace, signal: AbortSignal): Promise<void> {
  await mkdir(place.directory, { recursive: true });
  await rm(place.socketPath, { force: true });
  const log = await open(logFile(place), 'w');
  const child = spawn(
    place.podman,
    ['system', 'service', '--time=0', `unix://${place.socketPath}`],
    {
      env: { ...place.env },
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
    },
  );
  let failure: string | undefined;
  child.on('error', (error) => {
    failure = `${place.podman} could not be run (${error.message})`;
  });
  child.on('exit', (code, name) => {
    failure ??= `it ended with ${name ?? `code ${code}`}`;
  });
  child.unref();
  await log.close();
  if (child.pid !== undefined) await writeFile(pidFile(place), String(child.pid));
  const endMs = performance.now() + limits.SERVICE_READY_MS_MAX;
  while (!(await answers(place.socketPath))) {
    if (performance.now() > endMs) failure ??= 'it did not answer in time';
    if (signal.aborted) failure ??= 'the start was given up';
    if (failure !== undefined) {
      await killService(place);
      throw await missing(place, failure);
    }
    await pause(limits.SERVICE_READY_POLL_MS);
  }
}

/** Ends the service that this directory's pid file names, if it is one. Containers go on without it. */
export async function killService(place: ProcessPlace): Promise<void> {
  const pid = await servicePid(place);
  if (pid === undefined) return;
  const endMs = performance.now() + limits.SERVICE_STOP_MS_MAX;
  sendSignal(pid, 'SIGTERM');
  while ((await servicePid(place)) === pid && performance.now() < endMs) {
    await pause(limits.SERVICE_READY_POLL_MS);
  }
  if ((await servicePid(place)) === pid) sendSignal(-pid, 'SIGKILL');
  await rm(pidFile(place), { force: true });
  await rm(place.socketPath, { force: true });
}

/**
 * Resolves when the service at the socket is gone, or the signal aborts. An idle connection tells
 * it for any service, also one that is not our child.
 */
export function serviceEnd(socketPath: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const socket = createConnection(socketPath);
    const end = () => {
      signal.removeEventListener('abort', end);
      socket.destroy();
      resolve();
    };
    signal.addEventListener('abort', end);
    socket.on('error', end);
    socket.on('close', end);
    // What it says does not matter, but unread bytes would hide the end.
    socket.resume();
    if (signal.aborted) end();
  });
}

/** The live process of the pid file; undefined when the number is gone or somebody else's by now. */
async function servicePid(place: ProcessPlace): Promise<number | undefined> {
  try {
    const pid = Number(await readFile(pidFile(place), 'utf8'));
    const words = await readFile(`/proc/${pid}/cmdline`, 'utf8');
    return words.includes(place.socketPath) ? pid : undefined;
  } catch {
    return undefined;
  }
}

function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone in the meantime.
  }
}

async function missing(place: ProcessPlace, failure: string): Promise<PodmanMissingError> {
  const log = await readFile(logFile(place), 'utf8').catch(() => '');
  const tail = log.slice(-limits.SERVICE_LOG_TAIL_BYTES).trim();
  const words = tail === '' ? '' : ` Its last words: ${tail}`;
  return new PodmanMissingError(
    `Podman's service does not start: ${failure}.${words} ` +
      'Is Podman installed and rootless Podman set up? See: podmesh doctor',
  );
}

function pidFile(place: ProcessPlace): string {
  return join(place.directory, 'podman.pid');
}

function logFile(place: ProcessPlace): string {
  return join(place.directory, 'podman.log');
}
