import { setTimeout as pause } from 'node:timers/promises';
import { type Env, ownSocketPath, type SocketCandidate, socketCandidates } from './find-socket.ts';
import { PodmanMissingError } from './podman-errors.ts';
import { SERVICE_RESTART_MS_MAX, SERVICE_RESTART_MS_MIN } from './podman-limits.ts';
import {
  answers,
  killService,
  type ProcessPlace,
  serviceEnd,
  spawnService,
} from './podman-process.ts';

/** What happened to the service after its start; for the daemon's log. */
export type ServiceNote =
  | { readonly kind: 'service-died'; readonly socketPath: string }
  | { readonly kind: 'service-restarted'; readonly socketPath: string }
  | { readonly kind: 'service-restart-failed'; readonly socketPath: string; readonly error: Error };

export interface PodmanServiceOptions {
  readonly env: Env;
  /** Private to one daemon: socket, pid and log of a service of our own. A later daemon re-uses what it finds. */
  readonly directory: string;
  /** Program to run; default `podman`, by the PATH of `env`. */
  readonly podman?: string;
  readonly onNote?: (note: ServiceNote) => void;
}

/**
 * A socket at which rootless Podman answers: one that a person named, the user's own, or a service
 * that runs as our child and is started again when it dies. Containers outlive it either way.
 */
export class PodmanService {
  readonly #options: PodmanServiceOptions;
  #socketPath: string | undefined;
  #stopping = new AbortController();
  #keeping: Promise<void> | undefined;
  #starting: Promise<void> | undefined;

  constructor(options: PodmanServiceOptions) {
    this.#options = options;
  }

  /** Where Podman answers. Only after `start`. */
  get socketPath(): string {
    if (this.#socketPath === undefined) throw new Error('PodmanService was not started');
    return this.#socketPath;
  }

  /** Throws `PodmanMissingError`, whose message says what to do. */
  async start(): Promise<void> {
    if (this.#socketPath !== undefined) return;
    if (this.#starting === undefined) {
      this.#stopping = new AbortController();
      this.#starting = this.#start(this.#stopping.signal).finally(() => {
        this.#starting = undefined;
      });
    }
    await this.#starting;
  }

  /** Ends a service of our own, also one that an earlier daemon left; others are left alone. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#starting?.catch(() => undefined);
    this.#socketPath = undefined;
    await this.#keeping;
    if (this.#keeping !== undefined) await killService(this.#place());
    this.#keeping = undefined;
  }

  async #start(signal: AbortSignal): Promise<void> {
    for (const candidate of socketCandidates(this.#options.env)) {
      if (await answers(candidate.socketPath)) {
        this.#socketPath = candidate.socketPath;
        return;
      }
      if (candidate.required) throw silent(candidate);
    }
    const place = this.#place();
    if (!(await answers(place.socketPath))) await spawnService(place, signal);
    this.#socketPath = place.socketPath;
    this.#keeping = this.#keep(place, signal);
  }

  /** Starts the service again whenever it dies, at once at first and then ever more seldom. */
  async #keep(place: ProcessPlace, signal: AbortSignal): Promise<void> {
    const note = this.#options.onNote ?? (() => undefined);
    const { socketPath } = place;
    let backOffMs = SERVICE_RESTART_MS_MIN;
    for (;;) {
      await serviceEnd(socketPath, signal);
      if (signal.aborted) return;
      note({ kind: 'service-died', socketPath });
      while (!signal.aborted) {
        await pause(backOffMs, undefined, { signal }).catch(() => undefined);
        backOffMs = Math.min(backOffMs * 2, SERVICE_RESTART_MS_MAX);
        if (signal.aborted) return;
        try {
          await killService(place);
          await spawnService(place, signal);
          note({ kind: 'service-restarted', socketPath });
          break;
        } catch (error) {
          const cause = error instanceof Error ? error : new Error(String(error));
          if (!signal.aborted) note({ kind: 'service-restart-failed', socketPath, error: cause });
        }
      }
    }
  }

  #place(): ProcessPlace {
    const { env, directory, podman = 'podman' } = this.#options;
    return { podman, env, directory, socketPath: ownSocketPath(directory, env) };
  }
}

function silent(candidate: SocketCandidate): PodmanMissingError {
  return new PodmanMissingError(
    `${candidate.from} names ${candidate.socketPath}, but no Podman answers there. ` +
      `Start it (podman system service --time=0 unix://${candidate.socketPath}) or unset ${candidate.from}`,
  );
}
