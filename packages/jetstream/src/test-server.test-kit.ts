import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Authority } from '@podmesh/authority';
import { connectMesh } from './connect-mesh.ts';
import type { MeshAddress, MeshConnection, MeshMember } from './mesh-connection.ts';
import { findNatsServer } from './nats-server-binary.ts';
import { freePort } from './nats-server-files.ts';
import { rolePermissions } from './permissions.ts';
import { guardLines } from './server-guard.ts';

/** A real nats-server for one test file: loopback, a port and a directory of its own, durable like ours. */
export class TestServer {
  readonly port: number;
  readonly directory: string;
  readonly #binary: string;
  #child: ChildProcess | undefined;
  #removed = false;
  #authority: Authority | undefined;

  private constructor(binary: string, port: number, directory: string) {
    this.#binary = binary;
    this.port = port;
    this.directory = directory;
  }

  static async start(): Promise<TestServer> {
    const server = await TestServer.#create();
    await server.run();
    return server;
  }

  /** One of a mesh with roles. */
  static async startTrusted(permissions = rolePermissions()): Promise<TestServer> {
    const server = await TestServer.#create();
    const directory = join(server.directory, 'authority');
    const options = { directory, permissions, now: Date.now };
    server.#authority = await Authority.make('test', options);
    await server.run();
    return server;
  }

  static async #create(): Promise<TestServer> {
    const { path } = await findNatsServer(process.env);
    const directory = await mkdtemp(join(tmpdir(), 'podmesh-nats-'));
    return new TestServer(path, await freePort(), directory);
  }

  /** Of a server with roles. */
  get authority(): Authority {
    if (this.#authority === undefined) throw new Error('this test server has no roles');
    return this.#authority;
  }

  /** A new member of it, at another port where something stands in between. */
  async address(role: MeshMember['role'], name: string, port = this.port): Promise<MeshAddress> {
    const credentials = await this.authority.mint({ role, name });
    return { servers: [`127.0.0.1:${port}`], tls: false, member: { name, role, credentials } };
  }

  get url(): string {
    return `nats://secret@127.0.0.1:${this.port}`;
  }

  /** Starts it (again) on the same port and data. */
  async run(): Promise<void> {
    // A test that timed out goes on in the dark: it must not leave a server behind.
    if (this.#removed) throw new Error('the test server is removed');
    const config = join(this.directory, 'nats.conf');
    await writeFile(
      config,
      [
        `listen: "127.0.0.1:${this.port}"`,
        ...(await this.#guard()),
        `jetstream { store_dir: ${JSON.stringify(this.directory)}, sync_interval: always }`,
      ].join('\n'),
    );
    this.#child = spawn(this.#binary, ['-c', config], { stdio: 'ignore' });
    const url = this.#authority === undefined ? this.url : await this.address('user', 'ready');
    await (await connectMesh({ url, name: 'ready', timeoutMs: 20_000 })).close();
  }

  async #guard(): Promise<readonly string[]> {
    if (this.#authority === undefined) return ['authorization { token: "secret" }'];
    const trust = await this.#authority.serverTrust();
    const member: MeshMember = { name: 'none', role: 'peer', credentials: '' };
    const guard = { kind: 'trust', name: 'test', server: { trust, member } } as const;
    return guardLines(guard, join(this.directory, 'accounts'));
  }

  /** As a power cut for the process: SIGKILL. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }

  connect(name = 'test'): Promise<MeshConnection> {
    return connectMesh({ url: this.url, name, timeoutMs: 20_000 });
  }

  async remove(): Promise<void> {
    this.#removed = true;
    await this.kill();
    await rm(this.directory, { recursive: true, force: true });
  }
}
