import { Agent } from 'node:http';
import { Readable } from 'node:stream';
import Docker from 'dockerode';
import {
  PodmanAbortedError,
  PodmanRefusedError,
  PodmanTimeoutError,
  PodmanUnreachableError,
} from './podman-errors.ts';

/** libpod's own half of the API, for what the Docker-compatible one does badly or not at all. */
export const LIBPOD = '/v4.0.0/libpod';

/** One request: what it is called in messages, where it goes, and how long it may take. */
export interface Call {
  readonly what: string;
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** Below the API's root, without query: `/containers/create`, or `/v4.0.0/libpod/…`. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean>>;
  readonly body?: object;
  /** Sent as the body instead of `body`. */
  readonly upload?: NodeJS.ReadableStream;
  /** `open`: until the first byte of a stream; else until the answer is complete. */
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The one place that talks through dockerode's modem, for the Docker-compatible and the libpod half
 * of the API alike. dockerode's own methods are not used: they repeat a request's body in its URL,
 * and a connection that breaks inside an answer never settles their promise. Here every call ends
 * by its deadline, and fails only with a `PortError`.
 */
export class PodmanConnection {
  readonly socketPath: string;
  readonly #docker: Docker;
  readonly #agent = new Agent({ keepAlive: true });

  constructor(socketPath: string) {
    this.socketPath = socketPath;
    // Spread, because dockerode's types forget that its modem takes an agent.
    this.#docker = new Docker({ socketPath, ...{ agent: this.#agent } });
  }

  /** The parsed answer; a Buffer where it is no JSON, or empty. */
  async call(call: Call): Promise<unknown> {
    return await this.#dial(call, {});
  }

  /** The body of the answer as a stream; the deadline counts until its head is there. */
  async open(call: Call): Promise<Readable> {
    return asReadable(await this.#dial(call, { isStream: true }));
  }

  /** A raw connection, after the HTTP upgrade that Podman's attach wants. */
  async hijack(call: Call): Promise<Readable> {
    return asReadable(await this.#dial(call, { isStream: true, hijack: true }));
  }

  /** Gives idle connections back. Calls may still be made afterwards. */
  close(): void {
    this.#agent.destroy();
  }

  #dial(call: Call, kind: { isStream?: true; hijack?: true }): Promise<unknown> {
    const abort = new AbortController();
    return new Promise((resolve, reject) => {
      const end = (settle: () => void) => {
        clearTimeout(timer);
        call.signal?.removeEventListener('abort', onAbort);
        settle();
      };
      const giveUp = (error: Error) => {
        end(() => reject(error));
        abort.abort();
      };
      const onAbort = () => giveUp(new PodmanAbortedError(call.what, call.signal?.reason));
      const timer = setTimeout(
        () => giveUp(new PodmanTimeoutError(call.what, call.deadlineMs)),
        call.deadlineMs,
      );
      if (call.signal?.aborted) return onAbort();
      call.signal?.addEventListener('abort', onAbort);
      this.#docker.modem.dial(
        {
          path: `${call.path}?`,
          method: call.method,
          // An empty object is dockerode's word for "no body"; it would send the query otherwise.
          options: { _query: call.query ?? {}, _body: call.body ?? {} },
          ...(call.upload ? { file: call.upload } : {}),
          ...kind,
          statusCodes: { 101: true, 200: true, 201: true, 204: true, 304: true },
          abortSignal: abort.signal,
        },
        (error, result) =>
          end(() => (error ? reject(this.#explain(call, error)) : resolve(result))),
      );
    });
  }

  #explain(call: Call, error: Error): Error {
    if ('statusCode' in error && typeof error.statusCode === 'number') {
      return new PodmanRefusedError(call.what, error.statusCode, reasonOf(error), error);
    }
    return new PodmanUnreachableError(this.socketPath, error);
  }
}

/** Podman's own words, without dockerode's frame around them. */
function reasonOf(error: Error): string {
  const match = /^\(HTTP code \d+\) .*? - ([\s\S]*?)\s*$/.exec(error.message);
  const text = match?.[1] ?? error.message;
  if (text !== '[object Object]') return text;
  return 'json' in error ? JSON.stringify(error.json) : text;
}

function asReadable(result: unknown): Readable {
  if (result instanceof Readable) return result;
  throw new TypeError('dockerode gave no stream for a call that asks for one');
}
