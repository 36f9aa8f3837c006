import { connect as dial, type Socket } from 'node:net';
import { connect as secure } from 'node:tls';
import { SERVER_NAME } from './connect-mesh.ts';
import type { MeshAddress, MeshConnection } from './mesh-connection.ts';
import { onAbort } from './on-abort.ts';

/** The first line of a server, which says what it is. */
const INFO_BYTES_MAX = 64 * 1024;
/** What a client inside could not use: it speaks plainly to us, and reaches no other address. */
const NOT_FOR_INSIDE = [
  'tls_required',
  'tls_verify',
  'tls_available',
  'connect_urls',
  'ws_connect_urls',
];

/**
 * Lets what connects from inside of a container through to the mesh's server, whatever that is and wherever: the one
 * that this peer is connected to, over TLS if that is spoken there. Who comes proves itself to the server, not to us.
 */
export class ServerDoor {
  readonly #mesh: MeshConnection;

  constructor(mesh: MeshConnection) {
    this.#mesh = mesh;
  }

  /** Passes everything on until either side ends or the signal aborts. Never throws. */
  letIn(inside: Socket, signal: AbortSignal): void {
    const { address } = this.#mesh;
    const outside = dial(addressOf(this.#mesh.nc.getServer()));
    const close = (): void => {
      inside.destroy();
      outside.destroy();
    };
    const forget = onAbort(signal, close);
    for (const socket of [inside, outside]) {
      socket.on('error', close);
      socket.once('close', () => {
        forget();
        close();
      });
    }
    void introduce(outside, address).then(({ info, rest, server }) => {
      server.on('error', close);
      server.once('close', close);
      inside.write(info);
      if (rest.length > 0) inside.write(rest);
      inside.pipe(server).pipe(inside);
    }, close);
  }
}

interface Introduction {
  /** The server's first line, as it is told inside. */
  readonly info: string;
  readonly rest: Buffer;
  readonly server: Socket;
}

/** The server speaks first; what it says decides whether TLS is next. */
async function introduce(outside: Socket, address: MeshAddress): Promise<Introduction> {
  const { line, rest } = await firstLine(outside);
  const said: unknown = JSON.parse(line.replace(/^INFO /, ''));
  if (typeof said !== 'object' || said === null) throw new Error('this is no server');
  const info = Object.fromEntries(
    Object.entries(said).filter(([name]) => !NOT_FOR_INSIDE.includes(name)),
  );
  const isSecured = 'tls_required' in said && said.tls_required === true;
  const server = isSecured || address.tls ? await secured(outside, address) : outside;
  return { info: `INFO ${JSON.stringify(info)}\r\n`, rest, server };
}

function firstLine(socket: Socket): Promise<{ readonly line: string; readonly rest: Buffer }> {
  return new Promise((resolve, reject) => {
    let seen = Buffer.alloc(0);
    const look = (piece: Buffer): void => {
      seen = Buffer.concat([seen, piece]);
      const end = seen.indexOf('\r\n');
      if (end < 0 && seen.length <= INFO_BYTES_MAX) return;
      socket.off('data', look);
      socket.pause();
      if (end < 0) reject(new Error('the server says too much'));
      else resolve({ line: seen.subarray(0, end).toString(), rest: seen.subarray(end + 2) });
    };
    socket.on('data', look);
    socket.once('close', () => reject(new Error('the server ended the connection')));
  });
}

function secured(socket: Socket, address: MeshAddress): Promise<Socket> {
  const { ca, certificate: cert, key } = address.certificates ?? {};
  const own = cert === undefined || key === undefined ? {} : { cert, key };
  const host = socket.remoteAddress ?? '';
  const trusted = ca === undefined ? {} : { ca, servername: SERVER_NAME };
  return new Promise((resolve, reject) => {
    const tls = secure({ socket, host, ...trusted, ...own }, () => resolve(tls));
    tls.once('error', reject);
    tls.once('close', () => reject(new Error('the server ended the connection')));
  });
}

/** Of `host:port`, the host maybe in brackets. */
function addressOf(server: string): { host: string; port: number } {
  const { hostname, port } = new URL(`nats://${server}`);
  return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || '4222') };
}
