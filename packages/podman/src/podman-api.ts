import type { Readable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import type {
  ContainerAnswer,
  ContainerListAnswer,
  InfoAnswer,
  RecipeAnswer,
} from './podman-answers.ts';
import { LIBPOD, PodmanConnection } from './podman-connection.ts';
import { isStatus, PodmanRefusedError } from './podman-errors.ts';
import { type OnBrokenImage, PodmanImageApi } from './podman-image-api.ts';
import * as limits from './podman-limits.ts';

/**
 * The calls that are used, each with its own deadline. A container or image that is not there is
 * `undefined` or `false` where that is an ordinary answer.
 */
export class PodmanApi {
  readonly images: PodmanImageApi;
  readonly #podman: PodmanConnection;

  constructor(socketPath: string, onBrokenImage?: OnBrokenImage) {
    this.#podman = new PodmanConnection(socketPath);
    this.images = new PodmanImageApi(this.#podman, {}, onBrokenImage);
  }

  get socketPath(): string {
    return this.#podman.socketPath;
  }

  close(): void {
    this.#podman.close();
  }

  async ping(): Promise<void> {
    // The libpod half, so that a Docker daemon at this socket is not taken for Podman.
    await this.#podman.call({
      what: 'ping',
      method: 'GET',
      path: `${LIBPOD}/_ping`,
      deadlineMs: limits.PING_MS_MAX,
    });
  }

  async info(): Promise<InfoAnswer> {
    return (await this.#podman.call({
      what: 'info',
      method: 'GET',
      path: `${LIBPOD}/info`,
      deadlineMs: limits.QUERY_MS_MAX,
    })) as InfoAnswer;
  }

  /** The new container's id. */
  async create(body: object, signal: AbortSignal): Promise<string> {
    const answer = (await this.#podman.call({
      what: 'create a container',
      method: 'POST',
      path: '/containers/create',
      body,
      deadlineMs: limits.CREATE_MS_MAX,
      signal,
    })) as { Id: string };
    return answer.Id;
  }

  /** Everything but running it: Podman writes its OCI configuration, and crun has made its namespaces. */
  async init(id: string, signal: AbortSignal): Promise<void> {
    await this.#podman.call({
      what: 'initialise a container',
      method: 'POST',
      path: `${LIBPOD}/containers/${id}/init`,
      deadlineMs: limits.START_MS_MAX,
      signal,
    });
  }

  /** What libpod knows of a container that was initialised: the Docker-compatible answer leaves half of it out. */
  async inspectRecipe(id: string): Promise<RecipeAnswer> {
    return (await this.#podman.call({
      what: 'inspect a container',
      method: 'GET',
      path: `${LIBPOD}/containers/${id}/json`,
      deadlineMs: limits.QUERY_MS_MAX,
    })) as RecipeAnswer;
  }

  /** Runs the OCI runtime's `create`, so that a missing program shows here. */
  async attach(id: string, signal: AbortSignal): Promise<Readable> {
    return await this.#podman.hijack({
      what: 'attach to a container',
      method: 'POST',
      path: `/containers/${id}/attach`,
      query: { stream: 1, stdout: 1, stderr: 1 },
      deadlineMs: limits.START_MS_MAX,
      signal,
    });
  }

  async start(id: string, signal: AbortSignal): Promise<void> {
    await this.#podman.call({
      what: 'start a container',
      method: 'POST',
      path: `/containers/${id}/start`,
      deadlineMs: limits.START_MS_MAX,
      signal,
    });
  }

  async inspect(id: string): Promise<ContainerAnswer | undefined> {
    return await absentAs404(
      this.#podman.call({
        what: 'inspect a container',
        method: 'GET',
        path: `/containers/${id}/json`,
        deadlineMs: limits.QUERY_MS_MAX,
      }) as Promise<ContainerAnswer>,
    );
  }

  /**
   * Resolves when the container is in that condition, or after one round: ask again then. `stopped` is the
   * end of its processes; `exited` comes after Podman's own clean-up, which takes 50 ms more.
   */
  async awaitCondition(
    id: string,
    condition: 'stopped' | 'exited',
    pollMs: number,
    roundMs: number,
  ): Promise<void> {
    const signal = AbortSignal.timeout(roundMs);
    try {
      await this.#podman.call({
        what: 'wait for a container',
        method: 'POST',
        path: `${LIBPOD}/containers/${id}/wait`,
        query: { condition, interval: `${pollMs}ms` },
        deadlineMs: roundMs + limits.QUERY_MS_MAX,
        signal,
      });
    } catch (error) {
      if (!signal.aborted && !isStatus(error, 404)) throw error;
    }
  }

  /** False when it does not run (any more). */
  async kill(id: string, signalName: string): Promise<boolean> {
    try {
      await this.#podman.call({
        what: `send ${signalName} to a container`,
        method: 'POST',
        path: `/containers/${id}/kill`,
        query: { signal: signalName },
        deadlineMs: limits.QUERY_MS_MAX,
      });
      return true;
    } catch (error) {
      if (isStatus(error, 404) || isStatus(error, 409)) return false;
      // Podman 4.3 answers 500 for a container that ended a moment ago.
      if (
        error instanceof PodmanRefusedError &&
        /not running|only kill running|no such process/i.test(error.reason)
      ) {
        return false;
      }
      throw error;
    }
  }

  /** With its anonymous volumes, running or not; harmless when it is gone. */
  async remove(id: string): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#remove(id);
        return;
      } catch (error) {
        // Gone, or somebody else is removing it just now.
        if (isStatus(error, 404) || isStatus(error, 409)) return;
        if (!isEndingNow(error) || attempt >= limits.REMOVE_ATTEMPTS_MAX) throw error;
        await pause(limits.REMOVE_RETRY_MS * attempt);
      }
    }
  }

  async #remove(id: string): Promise<void> {
    await this.#podman.call({
      what: 'remove a container',
      method: 'DELETE',
      path: `${LIBPOD}/containers/${id}`,
      // The Docker-compatible call has no timeout of its own and would wait 10 s for a SIGTERM.
      query: { force: true, v: true, timeout: 0 },
      deadlineMs: limits.REMOVE_MS_MAX,
    });
  }

  /**
   * Containers in any state that carry the label. Not by the Docker-compatible list: one container whose
   * removal was interrupted makes that fail as a whole (Podman 4.3.1, HTTP 500).
   */
  async list(label: string): Promise<readonly ContainerListAnswer[]> {
    return (await this.#podman.call({
      what: 'list containers',
      method: 'GET',
      path: `${LIBPOD}/containers/json`,
      query: { all: true, filters: JSON.stringify({ label: [label] }) },
      deadlineMs: limits.QUERY_MS_MAX,
    })) as readonly ContainerListAnswer[];
  }

  /** Podman's copy of the output from its beginning, until the container ends. */
  async logs(id: string): Promise<Readable> {
    return await this.#podman.open({
      what: 'read the log of a container',
      method: 'GET',
      path: `/containers/${id}/logs`,
      query: { stdout: 1, stderr: 1, follow: 1 },
      deadlineMs: limits.STREAM_OPEN_MS_MAX,
    });
  }

  /** A tar stream of what is at `path`, symbolic links at the path itself followed; undefined: nothing there. */
  async archive(id: string, path: string): Promise<Readable | undefined> {
    try {
      return await this.#podman.open({
        what: 'read files of a container',
        method: 'GET',
        path: `/containers/${id}/archive`,
        query: { path },
        deadlineMs: limits.STREAM_OPEN_MS_MAX,
      });
    } catch (error) {
      if (isStatus(error, 404) && !/no such container/i.test(error.reason)) return undefined;
      throw error;
    }
  }
}

/** Podman 4.3 wants to kill a container that ended while it was looking; the next try finds it ended. */
function isEndingNow(error: unknown): boolean {
  return (
    error instanceof PodmanRefusedError &&
    /state improper|could not be stopped|not running/i.test(error.reason)
  );
}

async function absentAs404<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (isStatus(error, 404)) return undefined;
    throw error;
  }
}
