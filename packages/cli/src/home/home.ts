import { access, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { replacePrivately } from '@podmesh/authority';
import { isRunId, type RunId, runId } from '@podmesh/core';
import { commandOf } from './live-process.ts';

/** What a running daemon says of itself in `daemon.json`. */
export interface DaemonFile {
  readonly pid: number;
  readonly peer: string;
  /** Its mesh: `mesh:FOLDER`, or an address with its token. */
  readonly nats: string;
  readonly version: string;
  /** A peer that a `podmesh run` started; it leaves by itself. */
  readonly temporary: boolean;
  /** Where it answers this user's commands; absent where it cannot, and of versions that did not. */
  readonly socket?: string;
  /** Where programs of this machine push and pull images, `localhost:PORT`; absent where they cannot. */
  readonly registry?: string;
  /** What runs when it is told to stop has so long to end; 0 of versions that did not say. */
  readonly graceMs: number;
}

/** A process that a daemon started and that outlives one that is killed. */
export interface Leftover {
  readonly what: string;
  readonly pid: number;
  /** Removed once the process is gone. */
  readonly file: string;
}

/** Where the children's pids may stand, and a word of the command line that proves the number is still theirs. */
const CHILD_FILES = [
  { what: 'nats-server', names: ['nats', 'pid'], word: 'nats-server' },
  { what: 'nats-server', names: ['nats', 'nats-server.pid'], word: 'nats-server' },
  { what: 'Podman service', names: ['podman-service.pid'], word: 'podman' },
] as const;

const LOOK_MS = 100;

/** The folder with all state of this machine's peer, as the command line sees it. */
export class Home {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** Makes the folder, for this user only. */
  async prepare(): Promise<void> {
    await mkdir(this.path, { recursive: true, mode: 0o700 });
  }

  at(...names: readonly string[]): string {
    return join(this.path, ...names);
  }

  /** The daemon that runs here; undefined when there is none, or it died without saying so. */
  async daemon(): Promise<DaemonFile | undefined> {
    const text = await readFile(this.at('daemon.json'), 'utf8').catch(() => undefined);
    const file = text === undefined ? undefined : readDaemonFile(text);
    if (file === undefined) return undefined;
    const command = await commandOf(file.pid);
    return command?.includes('daemon') === true ? file : undefined;
  }

  /** The daemon that is just starting here, once it is up; undefined when it does not come up in time. */
  async daemonWithin(ms: number): Promise<DaemonFile | undefined> {
    const endMs = performance.now() + ms;
    for (;;) {
      const daemon = await this.daemon();
      if (daemon !== undefined || performance.now() >= endMs) return daemon;
      await pause(LOOK_MS);
    }
  }

  /** `mesh:FOLDER` of a mesh that lives without this machine's daemon; undefined where there is none. */
  async joinedMesh(): Promise<string | undefined> {
    // The server of a mesh that was made here is there when the daemon is.
    const isJoined = (await this.#isThere('mesh', 'mesh.json')) && !(await this.hasKeys());
    return isJoined ? `mesh:${this.at('mesh')}` : undefined;
  }

  /** Whether those of the mesh are here, with which its anchors are changed. */
  hasKeys(): Promise<boolean> {
    return this.#isThere('authority', 'keys.json');
  }

  /** Whether a server of the mesh was ever here. */
  hasServers(): Promise<boolean> {
    return this.#isThere('nats', 'seat.json');
  }

  async #isThere(...names: readonly string[]): Promise<boolean> {
    return access(this.at(...names)).then(
      () => true,
      () => false,
    );
  }

  async forgetDaemon(): Promise<void> {
    await rm(this.at('daemon.json'), { force: true });
  }

  /** Children of a daemon that are still there; only meaningful while no daemon runs. */
  async leftovers(): Promise<readonly Leftover[]> {
    const found: Leftover[] = [];
    for (const { what, names, word } of CHILD_FILES) {
      const file = this.at(...names);
      const pid = Number(await readFile(file, 'utf8').catch(() => ''));
      if (!Number.isInteger(pid) || pid <= 1) continue;
      const command = await commandOf(pid);
      if (command?.includes(word) === true) found.push({ what, pid, file });
    }
    return found;
  }

  /** What the daemon of this home is called; undefined while it never ran, and nobody has said. */
  async peerName(): Promise<string | undefined> {
    const name = (await readFile(this.at('peer-id'), 'utf8').catch(() => '')).trim();
    return name === '' ? undefined : name;
  }

  async setPeerName(name: string): Promise<void> {
    await this.prepare();
    await replacePrivately(this.at('peer-id'), `${name}\n`);
  }

  /** The run that was published from here last. */
  async lastRun(): Promise<RunId | undefined> {
    const text = await readFile(this.at('last-run'), 'utf8').catch(() => '');
    const id = text.trim();
    return isRunId(id) ? runId(id) : undefined;
  }

  async rememberRun(run: RunId): Promise<void> {
    await this.prepare();
    const path = this.at('last-run');
    await writeFile(`${path}.${process.pid}`, `${run}\n`, { mode: 0o600 });
    await rename(`${path}.${process.pid}`, path);
  }
}

/** `PODMESH_HOME`, and what a user expects without it. */
export function homePath(env: Readonly<Record<string, string | undefined>>): string {
  if (env.PODMESH_HOME) return env.PODMESH_HOME;
  return join(env.XDG_DATA_HOME || join(homedir(), '.local', 'share'), 'podmesh');
}

function readDaemonFile(text: string): DaemonFile | undefined {
  try {
    const said = JSON.parse(text) as Partial<DaemonFile>;
    const { pid, peer, nats, version, temporary, socket, registry, graceMs } = said;
    if (typeof pid !== 'number' || typeof nats !== 'string') return undefined;
    return {
      pid,
      nats,
      peer: String(peer ?? ''),
      version: String(version ?? ''),
      temporary: temporary === true,
      graceMs: typeof graceMs === 'number' ? graceMs : 0,
      ...(typeof socket === 'string' ? { socket } : {}),
      ...(typeof registry === 'string' ? { registry } : {}),
    };
  } catch {
    return undefined;
  }
}
