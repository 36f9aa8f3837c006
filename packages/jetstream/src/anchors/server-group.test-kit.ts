import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectMesh, dialMesh, parseMeshUrl } from '../connect-mesh.ts';
import type { MeshConnection } from '../mesh-connection.ts';
import { findNatsServer } from '../nats-server-binary.ts';
import { freePort } from '../nats-server-files.ts';
import { pause } from '../pause.ts';
import { clusterLines } from './cluster-lines.ts';

const CONNECT_MS = 60_000;
const LOOK_MS = 20;

/** A server with an account for the mesh and one for the system, which a test starts and kills. */
export interface TestServer {
  readonly name: string;
  readonly port: number;
  readonly route: number;
  readonly start: () => Promise<void>;
  readonly end: (signal: 'SIGKILL' | 'SIGTERM') => Promise<void>;
}

/** Real servers in a folder of their own; all is gone after `stop`. */
export class ServerGroup {
  readonly #folder: string;
  readonly #path: string;
  readonly #servers: TestServer[] = [];
  readonly #connections: MeshConnection[] = [];

  private constructor(folder: string, path: string) {
    this.#folder = folder;
    this.#path = path;
  }

  static async create(): Promise<ServerGroup> {
    const folder = await mkdtemp(join(tmpdir(), 'podmesh-anchors-'));
    return new ServerGroup(folder, (await findNatsServer(process.env)).path);
  }

  /** Not started yet. */
  async add(name: string): Promise<TestServer> {
    const [port, route] = [await freePort(), await freePort()];
    const folder = join(this.#folder, name);
    await mkdir(folder, { recursive: true });
    let child: ChildProcess | undefined;
    const server: TestServer = {
      name,
      port,
      route,
      start: async () => {
        // Its ports were free a moment ago; a connection of somebody else may have one for a moment.
        do {
          child = spawn(this.#path, ['-c', join(folder, 'nats.conf')], { stdio: 'ignore' });
          while (child.exitCode === null && !(await listens(port))) await pause(LOOK_MS);
        } while (child.exitCode !== null);
      },
      end: async (signal) => {
        if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
        const exit = once(child, 'exit');
        child.kill(signal);
        await exit;
      },
    };
    this.#servers.push(server);
    return server;
  }

  /** Writes what the server is told; routes of all of its cluster, none for one that stands alone. */
  async configure(
    { name, port, route }: TestServer,
    routes: readonly number[] = [],
  ): Promise<void> {
    const folder = join(this.#folder, name);
    const user = (of: string) => `{ user: ${of}, password: secret }`;
    const place = {
      cluster: 'test',
      listen: `127.0.0.1:${route}`,
      routes: routes.map((each) => `127.0.0.1:${each}`),
    };
    const lines = [
      `listen: "127.0.0.1:${port}"`,
      `server_name: ${name}`,
      `accounts { SYS { users: [${user('system')}] }, MESH { jetstream: enabled, users: [${user('mesh')}] } }`,
      'system_account: SYS',
      'ping_interval: "5s"',
      'ping_max: 2',
      `log_file: ${JSON.stringify(join(folder, 'nats.log'))}`,
      `jetstream { store_dir: ${JSON.stringify(join(folder, 'store'))}, sync_interval: always }`,
      ...(routes.length === 0 ? [] : clusterLines(place)),
    ];
    await writeFile(join(folder, 'nats.conf'), `${lines.join('\n')}\n`);
  }

  /** Several servers that form one cluster, started. */
  async cluster(...names: readonly string[]): Promise<readonly TestServer[]> {
    const servers = [];
    for (const name of names) servers.push(await this.add(name));
    for (const server of servers)
      await this.configure(
        server,
        servers.map(({ route }) => route),
      );
    await Promise.all(servers.map((server) => server.start()));
    return servers;
  }

  async connect(...servers: readonly TestServer[]): Promise<MeshConnection> {
    const url = servers.map(({ port }) => `nats://mesh:secret@127.0.0.1:${port}`).join(',');
    const connection = await connectMesh({ url, name: 'test', timeoutMs: CONNECT_MS });
    this.#connections.push(connection);
    return connection;
  }

  async connectSystem(...servers: readonly TestServer[]): Promise<MeshConnection> {
    const url = servers.map(({ port }) => `nats://system:secret@127.0.0.1:${port}`).join(',');
    const connection = await dialMesh(parseMeshUrl(url), 'test-system', CONNECT_MS);
    this.#connections.push(connection);
    return connection;
  }

  async stop(): Promise<void> {
    for (const connection of this.#connections) await connection.close(0);
    await Promise.all(this.#servers.map((server) => server.end('SIGKILL')));
    await rm(this.#folder, { recursive: true, force: true });
  }
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('close', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
