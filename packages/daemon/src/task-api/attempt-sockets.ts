import { chmodSync } from 'node:fs';
import { createServer, type Server as HttpServer, type IncomingMessage } from 'node:http';
import { createServer as createSocketServer, type Server, type Socket } from 'node:net';
import type { ClaimId } from '@podmesh/core';
import type { SocketPlace } from './socket-place.ts';
import {
  PEER_CONNECTIONS_MAX,
  TASK_CONNECTIONS_MAX,
  TASK_REQUESTS_MAX,
} from './task-api-limits.ts';

/** The user inside may be any that the image has; who is let in is decided by what is mounted. */
const SOCKET_MODE = 0o666;

/** Sockets that are kept for the next attempts: about as many as end at the same time. */
const IDLE_SOCKETS_MAX = 16;

/** More than Node's HTTP server itself listens to on a connection. */
const LISTENERS_OF_NODE = 20;

interface OpenSocket<T> {
  /** The name of its directory. */
  name: string;
  /** Undefined: nobody's; who connects is sent away. */
  attempt: T | undefined;
  readonly server: Server;
  readonly connections: Set<Socket>;
  /** Whoever connected before is known: what the kernel still had in its queue was taken from it. */
  isDrained: boolean;
}

/**
 * One listening socket for each attempt, so that the kernel tells who speaks: a task can reach its own socket and no
 * other, and needs no secret. All connections are answered by one HTTP server. The socket of an attempt whose container
 * is known to be gone is the next one's, as making and removing one costs more than all else that a task needs of its peer;
 * it was mounted read-only, so it is as it was.
 */
export class AttemptSockets<T> {
  readonly #place: SocketPlace;
  readonly #http: HttpServer;
  readonly #open = new Map<ClaimId, OpenSocket<T>>();
  readonly #idle: OpenSocket<T>[] = [];
  readonly #speakers = new WeakMap<Socket, T>();
  #connections = 0;
  #names = 0;

  constructor(place: SocketPlace, http: HttpServer) {
    this.#place = place;
    this.#http = http;
  }

  /** Whose request it is; undefined when that attempt is over. */
  speakerOf({ socket }: IncomingMessage): T | undefined {
    return this.#speakers.get(socket);
  }

  /** The directory for the attempt's container, with its socket in it. Throws when there can be none. */
  open(claim: ClaimId, attempt: T): string {
    this.#drop(claim);
    const socket = this.#reuse(claim) ?? this.#listen(claim);
    socket.attempt = attempt;
    this.#open.set(claim, socket);
    return this.#place.directory(claim);
  }

  /** Nobody can speak as this attempt any more. Harmless when it is not open. */
  close(claim: ClaimId): void {
    const open = this.#open.get(claim);
    if (open !== undefined) this.#silence(open);
  }

  /** Also the directory goes. `isGone`: nothing of the attempt's container lives any more. */
  remove(claim: ClaimId, isGone: boolean): void {
    const open = this.#open.get(claim);
    if (open !== undefined && isGone && this.#idle.length < IDLE_SOCKETS_MAX) {
      this.#silence(open);
      this.#open.delete(claim);
      if (this.#rename(open, `idle-${this.#names++}`)) {
        this.#rest(open);
        return;
      }
      open.server.close();
    }
    this.#drop(claim);
    this.#place.remove(claim);
  }

  closeAll(): void {
    for (const claim of [...this.#open.keys()]) this.#drop(claim);
    for (const { name, server } of this.#idle.splice(0)) {
      server.close();
      this.#place.remove(name);
    }
  }

  /** The socket is closed, and its directory stays. */
  #drop(claim: ClaimId): void {
    const open = this.#open.get(claim);
    if (open === undefined) return;
    this.#silence(open);
    this.#open.delete(claim);
    open.server.close();
    // Closing it removes the file where it was made, which may be no longer where it is.
    this.#place.clear(claim);
  }

  #silence(open: OpenSocket<T>): void {
    open.attempt = undefined;
    for (const socket of open.connections) {
      this.#speakers.delete(socket);
      socket.destroy();
    }
  }

  /**
   * What connected last may wait in the kernel's queue, with a request of the container that is gone: it is taken, and sent
   * away, in the round of the event loop after this one, before the next attempt can have the socket.
   */
  #rest(open: OpenSocket<T>): void {
    open.isDrained = false;
    this.#idle.push(open);
    setImmediate(() =>
      setImmediate(() => {
        open.isDrained = true;
      }),
    );
  }

  /** Not where the attempt has a directory already: its container has that one mounted. */
  #reuse(claim: ClaimId): OpenSocket<T> | undefined {
    const at = this.#idle.findLastIndex(({ isDrained }) => isDrained);
    if (at < 0 || this.#place.has(claim)) return undefined;
    const [idle] = this.#idle.splice(at, 1);
    if (idle === undefined || this.#rename(idle, claim)) return idle;
    idle.server.close();
    this.#place.remove(idle.name);
    return undefined;
  }

  #rename(open: OpenSocket<T>, name: string): boolean {
    try {
      this.#place.rename(open.name, name);
    } catch {
      return false;
    }
    open.name = name;
    return true;
  }

  #listen(claim: ClaimId): OpenSocket<T> {
    const { directory, listenAt } = this.#place.make(claim);
    const server = createSocketServer({ allowHalfOpen: true }, (socket) =>
      this.#welcome(open, socket),
    );
    const open: OpenSocket<T> = {
      ...{ name: claim, attempt: undefined, server },
      ...{ connections: new Set(), isDrained: true },
    };
    server.maxConnections = TASK_CONNECTIONS_MAX;
    let problem: unknown;
    server.on('error', (error) => {
      problem = error;
    });
    server.listen({ path: listenAt });
    // The socket is there by now, or never: what went wrong comes as an event, a moment later.
    try {
      chmodSync(listenAt, SOCKET_MODE);
    } catch (error) {
      server.close();
      throw new Error(`cannot listen to a task at ${directory}`, { cause: problem ?? error });
    }
    return open;
  }

  #welcome(open: OpenSocket<T>, socket: Socket): void {
    const { attempt } = open;
    if (attempt === undefined || this.#connections >= PEER_CONNECTIONS_MAX) {
      socket.destroy();
      return;
    }
    this.#connections += 1;
    open.connections.add(socket);
    socket.setMaxListeners(TASK_REQUESTS_MAX + LISTENERS_OF_NODE);
    this.#speakers.set(socket, attempt);
    socket.once('close', () => {
      this.#connections -= 1;
      open.connections.delete(socket);
    });
    this.#http.emit('connection', socket);
  }
}

/** An HTTP server that listens nowhere: connections are handed to it. */
export function createDetachedServer(
  options: Parameters<typeof createServer>[0] & object,
  answer: Parameters<typeof createServer>[1],
): HttpServer {
  const server = createServer(options, answer);
  // Without it Node would look after no deadline of a head: it begins to when a server listens.
  server.emit('listening');
  return server;
}
