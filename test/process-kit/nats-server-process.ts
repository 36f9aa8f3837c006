import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { findNatsServer, freePort } from '@podmesh/jetstream';
import { untilSeen, within } from './within.ts';

const READY_MS = 120_000;
const STOP_MS = 60_000;
const LOOK_MS = 20;
const TOKEN = 'acceptance';

/** Its place among others: the same `cluster` lines for each, its own route port. */
export interface ClusterPlace {
  readonly name: string;
  readonly routePort: number;
  readonly routes: readonly number[];
  /** Where the server tells about itself over HTTP. */
  readonly monitorPort: number;
}

/** A nats-server that the test may kill and start again: same port, same data, nobody else restarts it. */
export class NatsServerProcess {
  readonly directory: string;
  readonly port: number;
  readonly place: ClusterPlace | undefined;
  #child: ChildProcess | undefined;

  private constructor(directory: string, port: number, place: ClusterPlace | undefined) {
    this.directory = directory;
    this.port = port;
    this.place = place;
  }

  static async create(directory: string, place?: ClusterPlace): Promise<NatsServerProcess> {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    return new NatsServerProcess(directory, await freePort(), place);
  }

  get url(): string {
    return `nats://${TOKEN}@127.0.0.1:${this.port}`;
  }

  /** Resolves when it takes connections. */
  async start(): Promise<void> {
    const { path } = await findNatsServer(process.env);
    const config = join(this.directory, 'nats.conf');
    await writeFile(config, this.#config(), { mode: 0o600 });
    const child = spawn(path, ['-c', config], { stdio: 'ignore' });
    this.#child = child;
    let ended = false;
    child.once('exit', () => {
      ended = true;
    });
    const isReady = async (): Promise<boolean> => {
      if (ended) throw new Error(`nats-server ended: ${await this.#lastWords()}`);
      return greets(this.port);
    };
    await untilSeen(READY_MS, () => `nats-server on port ${this.port}`, isReady, LOOK_MS);
  }

  /** As a power cut for the process. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  async stop(): Promise<void> {
    await this.#end('SIGTERM');
  }

  async #end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await within(STOP_MS, () => `nats-server ${child.pid} to end`, exited).catch((error) => {
      child.kill('SIGKILL');
      throw error;
    });
  }

  /** The settings of an embedded server, so that what is proved here holds there. */
  #config(): string {
    const lines = [
      `listen: "127.0.0.1:${this.port}"`,
      `authorization { token: "${TOKEN}" }`,
      'ping_interval: "5s"',
      'ping_max: 2',
      'write_deadline: "5s"',
      'max_payload: 4194304',
      `log_file: ${JSON.stringify(join(this.directory, 'nats.log'))}`,
      'jetstream {',
      `  store_dir: ${JSON.stringify(join(this.directory, 'jetstream'))}`,
      '  sync_interval: always',
      '  limits { default_max_consumers: 20000 }',
      '}',
    ];
    if (this.place !== undefined) lines.push(...clusterLines(this.place));
    return `${lines.join('\n')}\n`;
  }

  async #lastWords(): Promise<string> {
    const log = await readFile(join(this.directory, 'nats.log'), 'utf8').catch(() => '');
    return log.split('\n').slice(-10).join('\n');
  }
}

function clusterLines({ name, routePort, routes, monitorPort }: ClusterPlace): readonly string[] {
  const urls = routes.map((port) => JSON.stringify(`nats-route://127.0.0.1:${port}`));
  return [
    `server_name: ${JSON.stringify(name)}`,
    `http: "127.0.0.1:${monitorPort}"`,
    'cluster {',
    '  name: podmesh-acceptance',
    `  listen: "127.0.0.1:${routePort}"`,
    `  routes: [${urls.join(', ')}]`,
    '}',
  ];
}

/** Whether a NATS server says hello at the port. */
function greets(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1');
    const end = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('data', (bytes) => end(bytes.toString('utf8').startsWith('INFO')));
    socket.once('error', () => end(false));
    socket.once('close', () => end(false));
  });
}
