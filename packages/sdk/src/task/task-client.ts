import { existsSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import type { ArtifactId, ArtifactRef, Capacity } from '@podmesh/core';
import { SubTask, type SubTaskView } from './sub-task.ts';
import { askPeer, readAnswer, type TaskRequest } from './task-api-request.ts';

const SOCKET = '/run/podmesh.sock';
/** The link above is missing in an image whose /run is a link or belongs to another user. */
const SOCKET_IN_DIRECTORY = '/run/podmesh/sock';
const AWAY_MS_MAX = 120_000;
/** One request waits so long; then it is asked again. */
const WAIT_S = 60;

/** Who a task is. */
export interface Me {
  readonly run: string;
  readonly task: string;
  readonly attempt: number;
  readonly peer: string;
  readonly net: boolean;
  readonly timeoutMs: number;
  readonly needs: { readonly cpus: number; readonly memoryBytes: number };
  /** Who spawned it, who spawned that, and so on. */
  readonly parents: readonly string[];
  /** What it may still spawn. */
  readonly spawn: { readonly depth: number; readonly tasks: number; readonly cpuSeconds: number };
}

export interface MeshCapacity {
  readonly peers: number;
  readonly capacity: Capacity;
  readonly free: Capacity;
}

export interface TaskClientOptions {
  /** Elsewhere than in a container. */
  readonly socketPath?: string;
  /** How long a peer that does not answer is asked again. */
  readonly awayMsMax?: number;
}

/** What a task may ask of its peer, from inside its container. Throws `TaskRefusedError` and `PeerAwayError`. */
export class TaskClient {
  readonly #socketPath: string;
  readonly #awayMsMax: number;

  constructor(options: TaskClientOptions = {}) {
    this.#socketPath = options.socketPath ?? (existsSync(SOCKET) ? SOCKET : SOCKET_IN_DIRECTORY);
    this.#awayMsMax = options.awayMsMax ?? AWAY_MS_MAX;
  }

  me(): Promise<Me> {
    return this.#json<Me>({ method: 'GET', path: '/v1/me' });
  }

  /** What the mesh has, and what of it is free. */
  capacity(): Promise<MeshCapacity> {
    return this.#json<MeshCapacity>({ method: 'GET', path: '/v1/capacity' });
  }

  /** `fraction` from 0 to 1. */
  async progress(said: { readonly fraction?: number; readonly message?: string }): Promise<void> {
    await this.#ask(jsonRequest('/v1/progress', said), readAnswer);
  }

  /** Last values by name. */
  async metrics(values: Readonly<Record<string, number>>): Promise<void> {
    await this.#ask(jsonRequest('/v1/metrics', values), readAnswer);
  }

  /** Stores bytes. What is a stream has to be made anew for each try. */
  put(content: Uint8Array | (() => AsyncIterable<Uint8Array>)): Promise<ArtifactRef> {
    const body = typeof content === 'function' ? content : () => content;
    return this.#json<ArtifactRef>({ method: 'PUT', path: '/v1/artifacts', body });
  }

  /** The bytes of an artifact; of a directory its listing. */
  fetch(artifact: ArtifactId): Promise<Buffer> {
    return this.#ask({ method: 'GET', path: `/v1/artifacts/${artifact}` }, readAnswer);
  }

  /**
   * Spawns jobs, written as in a graph; without `container` they run in the image of this task. The same key, or without
   * one the same jobs, gives the same sub-tasks, also to a later attempt.
   */
  async spawn(jobs: readonly object[], key?: string): Promise<readonly SubTask[]> {
    const order = { jobs, ...(key === undefined ? {} : { key }) };
    const { tasks } = await this.#json<{ tasks: readonly { task: string }[] }>(
      jsonRequest('/v1/tasks', order),
    );
    const source = {
      look: (id: string, wait: boolean) =>
        this.#json<SubTaskView>({
          method: 'GET',
          path: `/v1/tasks/${id}${wait ? `?wait=${WAIT_S}s` : ''}`,
        }),
      drop: (id: string) => this.#json<SubTaskView>({ method: 'DELETE', path: `/v1/tasks/${id}` }),
      fetch: (artifact: ArtifactId) => this.fetch(artifact),
    };
    return tasks.map(({ task }) => new SubTask(task, source));
  }

  async #json<T>(asked: TaskRequest): Promise<T> {
    const bytes = await this.#ask(asked, readAnswer);
    return JSON.parse(bytes.toString('utf8')) as T;
  }

  #ask<T>(asked: TaskRequest, take: (response: IncomingMessage) => Promise<T>): Promise<T> {
    return askPeer(this.#socketPath, asked, take, this.#awayMsMax);
  }
}

function jsonRequest(path: string, value: object): TaskRequest {
  const body = Buffer.from(JSON.stringify(value));
  const headers = { 'content-type': 'application/json', 'content-length': String(body.length) };
  return { method: 'POST', path, headers, body: () => body };
}
