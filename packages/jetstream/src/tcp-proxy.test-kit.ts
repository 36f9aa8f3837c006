import { connect, createServer, type Server, type Socket } from 'node:net';

/** A wire between clients and a server on loopback that a test can cut for good, break once, or clog. */
export class TcpProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #fars = new Set<Socket>();
  #clogged = false;
  #clogsAfterBytes = Number.POSITIVE_INFINITY;
  #onClogged = (): void => undefined;
  #breaksAfterBytes = Number.POSITIVE_INFINITY;

  private constructor(server: Server) {
    this.#server = server;
  }

  static start(targetPort: number): Promise<TcpProxy> {
    const server = createServer();
    const proxy = new TcpProxy(server);
    server.on('connection', (near) => proxy.#join(near, connect(targetPort, '127.0.0.1')));
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', () => resolve(proxy));
    });
  }

  get port(): number {
    const address = this.#server.address();
    if (typeof address !== 'object' || address === null) throw new Error('the proxy is cut');
    return address.port;
  }

  /** Every connection ends, and none is made any more. Harmless when called twice. */
  cut(): void {
    if (this.#server.listening) this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Every connection ends once so many more bytes came from the server; new ones hold. */
  breakAfter(bytes: number): void {
    this.#breaksAfterBytes = bytes;
  }

  /** After so many more bytes from the server the clients read nothing until `unclog`; resolves then. */
  clogAfter(bytes: number): Promise<void> {
    this.#clogsAfterBytes = bytes;
    return new Promise((resolve) => {
      this.#onClogged = resolve;
    });
  }

  unclog(): void {
    this.#clogged = false;
    for (const far of this.#fars) far.resume();
  }

  #join(near: Socket, far: Socket): void {
    this.#fars.add(far);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(from);
      from.on('error', () => undefined);
      from.on('close', () => {
        this.#sockets.delete(from);
        this.#fars.delete(from);
        to.destroy();
      });
    }
    near.pipe(far);
    far.on('data', (bytes) => this.#toClient(near, far, bytes));
  }

  #clog(): void {
    this.#clogsAfterBytes = Number.POSITIVE_INFINITY;
    this.#clogged = true;
    for (const far of this.#fars) far.pause();
    this.#onClogged();
  }

  /** By hand: `pipe` would resume a socket that a test has paused. */
  #toClient(near: Socket, far: Socket, bytes: Buffer): void {
    this.#breaksAfterBytes -= bytes.length;
    if (this.#breaksAfterBytes <= 0) {
      this.#breaksAfterBytes = Number.POSITIVE_INFINITY;
      for (const socket of this.#sockets) socket.destroy();
      return;
    }
    this.#clogsAfterBytes -= bytes.length;
    if (this.#clogsAfterBytes <= 0) this.#clog();
    if (near.write(bytes)) return;
    far.pause();
    near.once('drain', () => {
      if (!this.#clogged) far.resume();
    });
  }
}
