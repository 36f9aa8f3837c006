import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectMesh } from './connect-mesh.ts';
import type { MeshConnection } from './mesh-connection.ts';
import { findNatsServer } from './nats-server-binary.ts';
import { freePort } from './nats-server-files.ts';

/** A real nats-server for one test file: loopback, a port and a directory of its own, durable like ours. */
export class TestServer {
  readonly port: number;
  readonly directory: string;
  readonly #binary: string;
  #child: ChildProcess | undefined;
  #removed = false;

  private constructor(binary: string, port: number, directory: string) {
    this.#binary = binary;
    this.port = port;
    this.directory = directory;
  }

  static async start(): Promise<TestServer> {
    const { path } = await findNatsServer(process.env);
    const directory = await mkdtemp(join(tmpdir(), 'podmesh-nats-'));
    const server = new TestServer(path, await freePort(), directory);
    await server.run();
    return server;
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
        'authorization { token: "secret" }',
        `jetstream { store_dir: ${JSON.stringify(this.directory)}, sync_interval: always }`,
      ].join('\n'),
    );
    this.#child = spawn(this.#binary, ['-c', config], { stdio: 'ignore' });
    await (await this.connect()).close();
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
