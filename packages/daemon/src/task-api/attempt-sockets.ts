import { chmodSync } from 'node:fs';
import { createServer, type Server as HttpServer, type IncomingMessage } from 'node:http';
import { createServer as createSocketServer, type Server, type Socket } from 'node:net';
import type { ClaimId } from '@podmesh/core';
import type { SocketPlace } from './socket-place.ts';
import { PEER_CONNECTIONS_MAX, TASK_CONNECTIONS_MAX } from './task-api-limits.ts';

/** The user inside may be any that the image has; who is let in is decided by what is mounted. */
const SOCKET_MODE = 0o666;

interface OpenSocket<T> {
  readonly attempt: T;
  readonly server: Server;
  readonly connections: Set<Socket>;
}

/**
 * One listening socket for each attempt, so that the kernel tells who speaks: a task can reach its own socket and no
 * other, and needs no secret. All connections are answered by one HTTP server.
 */
export class AttemptSockets<T> {
  readonly #place: SocketPlace;
  readonly #http: HttpServer;
  readonly #open = new Map<ClaimId, OpenSocket<T>>();
  readonly #speakers = new WeakMap<Socket, T>();
  #connections = 0;

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
    this.close(claim);
    const { directory, listenAt } = this.#place.make(claim);
    const server = createSocketServer({ allowHalfOpen: true }, (socket) =>
      this.#welcome(claim, socket),
    );
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
    this.#open.set(claim, { attempt, server, connections: new Set() });
    return directory;
  }

  /** Nobody can speak as this attempt any more. Harmless when it is not open. */
  close(claim: ClaimId): void {
    const open = this.#open.get(claim);
    if (open === undefined) return;
    this.#open.delete(claim);
    open.server.close();
    for (const socket of open.connections) {
      this.#speakers.delete(socket);
      socket.destroy();
    }
  }

  /** Also the directory goes: for an attempt whose container is gone. */
  remove(claim: ClaimId): void {
    this.close(claim);
    this.#place.remove(claim);
  }

  closeAll(): void {
    for (const claim of [...this.#open.keys()]) this.close(claim);
  }

  #welcome(claim: ClaimId, socket: Socket): void {
    const open = this.#open.get(claim);
    if (open === undefined || this.#connections >= PEER_CONNECTIONS_MAX) {
      socket.destroy();
      return;
    }
    this.#connections += 1;
    open.connections.add(socket);
    this.#speakers.set(socket, open.attempt);
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
