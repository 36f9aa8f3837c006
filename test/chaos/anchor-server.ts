import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { MeshFolder, ServerTrust } from '@podmesh/authority';
import { systemClock } from '@podmesh/daemon';
import { findNatsServer } from '@podmesh/jetstream';
import { within } from '../process-kit/within.ts';

export const CLIENT_PORT = 4222;
const ROUTE_PORT = 6222;
const MONITOR_PORT = 8222;
const HEALTHY_MS = 120_000;
const LOOK_MS = 100;
const LINES_SHOWN = 10;

export interface AnchorServerParts {
  readonly name: string;
  /** Its own address, and those of all anchors. */
  readonly address: string;
  readonly addresses: readonly string[];
  /** Folder of its data. */
  readonly directory: string;
  /** What the machine knows of the mesh: trust and certificates. */
  readonly mesh: MeshFolder;
  readonly trust: ServerTrust;
  readonly under: readonly string[];
  readonly reach: (port: number) => Promise<number>;
}

/** The nats-server of an anchor, in the network of its machine: one of three, with TLS to clients and to each other. */
export class AnchorServer {
  readonly #parts: AnchorServerParts;
  #child: ChildProcess | undefined;
  #monitor: number | undefined;

  constructor(parts: AnchorServerParts) {
    this.#parts = parts;
  }

  /** Resolves when the process is there; with others it is a server when {@link untilHealthy} says so. */
  async start(): Promise<void> {
    const { directory, under } = this.#parts;
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const config = join(directory, 'nats.conf');
    await writeFile(config, `${this.#config().join('\n')}\n`, { mode: 0o600 });
    const { path } = await findNatsServer(process.env);
    const [program = '', ...words] = [...under, path, '-c', config];
    const child = spawn(program, words, { stdio: 'ignore' });
    child.once('error', () => undefined);
    this.#child = child;
  }

  /** Resolves when it has caught up with the others. */
  async untilHealthy(): Promise<void> {
    let said = '';
    let given = false;
    const look = async (): Promise<void> => {
      while (!given) {
        said = await this.#ask('healthz').catch(String);
        if (said.includes('"ok"')) return;
        if (this.#child === undefined || this.#child.exitCode !== null)
          throw new Error(`server ${this.#parts.name} ended: ${await this.#lastWords()}`);
        await systemClock.sleep(LOOK_MS);
      }
    };
    const what = () => `server ${this.#parts.name} to be healthy; it says ${said}`;
    await within(HEALTHY_MS, what, look()).finally(() => {
      given = true;
    });
  }

  /** Harmless when it is gone. */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, 'exit');
    child.kill('SIGCONT');
    child.kill(signal);
    await exit;
  }

  async #ask(what: string): Promise<string> {
    this.#monitor ??= await this.#parts.reach(MONITOR_PORT);
    const signal = AbortSignal.timeout(HEALTHY_MS / 20);
    const answer = await fetch(`http://127.0.0.1:${this.#monitor}/${what}`, { signal });
    return answer.text();
  }

  async #lastWords(): Promise<string> {
    const { directory } = this.#parts;
    const log = await readFile(join(directory, 'nats.log'), 'utf8').catch(() => '');
    return log.split('\n').slice(-LINES_SHOWN).join('\n');
  }

  /** The settings of an embedded server, and a cluster's beside them. */
  #config(): readonly string[] {
    const { name, address, addresses, directory, mesh, trust } = this.#parts;
    const quoted = JSON.stringify;
    const { certificateFile, keyFile, caFile } = mesh.serverFiles;
    const tls = [
      `cert_file: ${quoted(certificateFile)}`,
      `key_file: ${quoted(keyFile)}`,
      `ca_file: ${quoted(caFile)}`,
      'timeout: 5',
    ];
    return [
      `listen: "${address}:${CLIENT_PORT}"`,
      `server_name: ${quoted(name)}`,
      `http: "${address}:${MONITOR_PORT}"`,
      `operator: ${quoted(trust.operator)}`,
      `system_account: ${trust.systemAccount}`,
      `resolver { type: full, dir: ${quoted(join(directory, 'accounts'))}, interval: "1m" }`,
      'resolver_preload {',
      ...Object.entries(trust.accounts).map(([key, token]) => `  ${key}: ${quoted(token)}`),
      '}',
      ...['tls {', ...tls, '}'],
      'ping_interval: "5s"',
      'ping_max: 2',
      'write_deadline: "5s"',
      'max_payload: 4194304',
      `log_file: ${quoted(join(directory, 'nats.log'))}`,
      'jetstream {',
      `  store_dir: ${quoted(join(directory, 'jetstream'))}`,
      '  sync_interval: always',
      '  limits { default_max_consumers: 20000 }',
      '}',
      'cluster {',
      '  name: night',
      `  listen: "${address}:${ROUTE_PORT}"`,
      `  routes: [${addresses.map((one) => quoted(`nats-route://${one}:${ROUTE_PORT}`)).join(', ')}]`,
      // Clients know all of them; the one of a test reaches them by other addresses.
      '  no_advertise: true',
      '  connect_backoff: true',
      ...['  tls {', ...tls, '  verify: true', '  }'],
      '}',
    ];
  }
}
