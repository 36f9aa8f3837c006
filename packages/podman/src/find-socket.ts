import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { SOCKET_PATH_BYTES_MAX } from './podman-limits.ts';

/** Environment variables as a value, so that nothing here reads the process. */
export type Env = Readonly<Record<string, string | undefined>>;

/** A place where Podman may listen. `required`: a person named it, so nothing else will do. */
export interface SocketCandidate {
  readonly socketPath: string;
  readonly from: string;
  readonly required: boolean;
}

/** One way to find a socket; undefined when the environment says nothing about it. */
export type SocketStrategy = (env: Env) => SocketCandidate | undefined;

/** All strategies, the most explicit first. */
export const SOCKET_STRATEGIES: readonly SocketStrategy[] = [
  ownVariable,
  containerHost,
  runtimeDirectory,
];

/** The candidates in the order in which they are tried; nothing comes after a required one. */
export function socketCandidates(env: Env): readonly SocketCandidate[] {
  const found = SOCKET_STRATEGIES.flatMap((strategy) => strategy(env) ?? []);
  const required = found.findIndex((candidate) => candidate.required);
  return required === -1 ? found : found.slice(0, required + 1);
}

/** Where our own service listens: in the caller's directory, or, when that path is too long for a socket, in a short one. */
export function ownSocketPath(directory: string, env: Env): string {
  const path = join(directory, 'podman.sock');
  if (Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX) return path;
  const name = createHash('sha256').update(directory).digest('hex').slice(0, 12);
  return join(env.XDG_RUNTIME_DIR ?? '/tmp', `podmesh-${name}.sock`);
}

function ownVariable(env: Env): SocketCandidate | undefined {
  const value = env.PODMESH_PODMAN_SOCKET;
  if (!value) return undefined;
  const socketPath = value.replace(/^unix:\/\//, '');
  return { socketPath, from: 'PODMESH_PODMAN_SOCKET', required: true };
}

/** Podman's own variable. Only sockets of this machine are of use: inputs are mounted from it. */
function containerHost(env: Env): SocketCandidate | undefined {
  const value = env.CONTAINER_HOST;
  if (!value?.startsWith('unix://')) return undefined;
  return { socketPath: value.slice('unix://'.length), from: 'CONTAINER_HOST', required: true };
}

/** Where systemd listens on behalf of the user's Podman. */
function runtimeDirectory(env: Env): SocketCandidate | undefined {
  if (!env.XDG_RUNTIME_DIR) return undefined;
  const socketPath = join(env.XDG_RUNTIME_DIR, 'podman', 'podman.sock');
  return { socketPath, from: 'XDG_RUNTIME_DIR', required: false };
}
