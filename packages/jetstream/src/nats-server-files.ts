import { randomBytes, randomInt } from 'node:crypto';
import { chmod, mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { clusterLines } from './anchors/cluster-lines.ts';
import type { EmbeddedNatsServerOptions, ServerPlace } from './embedded-nats-server.ts';
import { hostPort, LOOPBACK } from './listen-address.ts';
import { guardLines, type ServerGuard, serverName } from './server-guard.ts';

/** What a server's configuration says beside what is the same everywhere. */
export interface ServerConfig {
  readonly host: string;
  readonly port: number;
  readonly guard: ServerGuard;
  readonly place: ServerPlace | undefined;
}

/** The files of an embedded server, all in one private directory. */
export class NatsServerFiles {
  readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
  }

  get config(): string {
    return join(this.directory, 'nats.conf');
  }

  /** The server's own log, which the server itself rotates. */
  get log(): string {
    return join(this.directory, 'nats.log');
  }

  /** Everything that the mesh knows; the server makes a folder `jetstream` in it, with one for each account. */
  get store(): string {
    return join(this.directory, 'jetstream');
  }

  /** What it prints before it can log, and when it panics; overwritten by each start. */
  get errors(): string {
    return join(this.directory, 'nats.err');
  }

  async prepare(): Promise<void> {
    await mkdir(this.directory, { recursive: true, mode: 0o700 });
    await chmod(this.directory, 0o700);
  }

  /** A token of its own where there is no trust. Made once; whoever can read the file can use the mesh. */
  async guard(
    options: Pick<EmbeddedNatsServerOptions, 'trusted' | 'closedFor' | 'place'>,
  ): Promise<ServerGuard> {
    const { trusted: server, closedFor: account, place } = options;
    if (account !== undefined) {
      const [name, password] = [newText(), newText()];
      return { kind: 'closed', account, password, name: `closed-${name.slice(0, 12)}` };
    }
    if (server === undefined) return { kind: 'token', token: await this.#random('token') };
    const name = place?.name ?? `podmesh-${(await this.#random('name')).slice(0, 12)}`;
    return { kind: 'trust', server, name };
  }

  async port(): Promise<number | undefined> {
    const port = Number(await this.#read('port'));
    return Number.isInteger(port) && port > 0 && port < 65_536 ? port : undefined;
  }

  async pid(): Promise<number | undefined> {
    const pid = Number(await this.#read('pid'));
    return Number.isInteger(pid) && pid > 1 ? pid : undefined;
  }

  rememberPort(port: number): Promise<void> {
    return this.#write('port', `${port}`);
  }

  rememberPid(pid: number): Promise<void> {
    return this.#write('pid', `${pid}`);
  }

  async forgetPid(): Promise<void> {
    await rm(join(this.directory, 'pid'), { force: true });
  }

  /**
   * Every acknowledged fact is on disk (`sync_interval: always`: the only copy may not be lost to a power
   * cut), silent clients are found in 10 s, and consumers are not capped at 1000 (NATS.md §0.3).
   */
  async writeConfig({ host, port, guard, place }: ServerConfig): Promise<void> {
    const lines = [
      `listen: ${JSON.stringify(hostPort(host, port))}`,
      `server_name: ${JSON.stringify(serverName(guard))}`,
      ...(place === undefined ? [] : [`client_advertise: ${JSON.stringify(place.advertise)}`]),
      ...guardLines(guard, join(this.directory, 'accounts')),
      'ping_interval: "5s"',
      'ping_max: 2',
      'write_deadline: "5s"',
      'max_payload: 4194304',
      `log_file: ${JSON.stringify(this.log)}`,
      'logfile_size_limit: 8388608',
      'logfile_max_num: 2',
      'jetstream {',
      `  store_dir: ${JSON.stringify(this.store)}`,
      '  sync_interval: always',
      '  limits { default_max_consumers: 20000 }',
      '}',
      ...(place?.cluster === undefined ? [] : clusterLines(place.cluster)),
    ];
    await this.#write('nats.conf', `${lines.join('\n')}\n`);
  }

  /** Whether the configuration that was written last says so. */
  async listensAt(host: string, port: number): Promise<boolean> {
    const text = (await this.#read('nats.conf')) ?? '';
    return text.startsWith(`listen: ${JSON.stringify(hostPort(host, port))}`);
  }

  /** The end of what the server said, for a person. */
  async lastLines(count: number): Promise<string> {
    const texts = await Promise.all(
      [this.log, this.errors].map((path) => readFile(path, 'utf8').catch(() => '')),
    );
    const lines = texts.join('\n').split('\n');
    return lines
      .filter((line) => line.trim() !== '')
      .slice(-count)
      .join('\n');
  }

  async #random(name: string): Promise<string> {
    const known = await this.#read(name);
    if (known !== undefined && known !== '') return known;
    const text = newText();
    await this.#write(name, text);
    return text;
  }

  async #read(name: string): Promise<string | undefined> {
    const text = await readFile(join(this.directory, name), 'utf8').catch(() => undefined);
    return text?.trim();
  }

  /** Never half written: a crash, and a power cut too, leaves the old file or the new one. */
  async #write(name: string, text: string): Promise<void> {
    const path = join(this.directory, name);
    const draft = await open(`${path}.new`, 'w', 0o600);
    try {
      await draft.writeFile(text);
      await draft.sync();
    } finally {
      await draft.close();
    }
    await rename(`${path}.new`, path);
    await syncFolder(this.directory);
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

const newText = (): string => randomBytes(24).toString('hex');

/** Whether nobody listens on the port, of loopback if nothing else is said. */
export function isFree(port: number, host = LOOPBACK): Promise<boolean> {
  return listening(port, host).then(
    () => true,
    () => false,
  );
}

/** Where no usual system takes the ports of outgoing connections: nobody has it by chance while its server is away. */
const OWN_PORTS = { from: 20_000, to: 32_000 } as const;
const OWN_PORT_TRIES = 20;

/**
 * A port that was free a moment ago, and is likely to be so whenever its server comes back: who dials a port of this
 * machine that nobody listens at would else end up with that very port, connected to itself.
 */
export async function freePort(host = LOOPBACK): Promise<number> {
  for (let left = OWN_PORT_TRIES; left > 0; left -= 1) {
    const port = randomInt(OWN_PORTS.from, OWN_PORTS.to);
    if (await isFree(port, host)) return port;
  }
  return listening(0, host);
}

function listening(port: number, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(port, host, () => {
      const address = probe.address();
      const chosen = typeof address === 'object' && address !== null ? address.port : port;
      probe.close(() => resolve(chosen));
    });
  });
}
