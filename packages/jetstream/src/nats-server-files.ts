import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { clusterLines } from './anchors/cluster-lines.ts';
import type { ServerPlace } from './embedded-nats-server.ts';

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

  /** What it prints before it can log, and when it panics; overwritten by each start. */
  get errors(): string {
    return join(this.directory, 'nats.err');
  }

  async prepare(): Promise<void> {
    await mkdir(this.directory, { recursive: true, mode: 0o700 });
    await chmod(this.directory, 0o700);
  }

  /** Made once; whoever can read the file can use the mesh. */
  async token(given?: string): Promise<string> {
    if (given !== undefined) return given;
    const known = await this.#read('token');
    if (known !== undefined && known !== '') return known;
    const token = randomBytes(24).toString('hex');
    await this.#write('token', token);
    return token;
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
  async writeConfig(served: string, token: string, place?: ServerPlace): Promise<void> {
    const lines = [
      `listen: ${JSON.stringify(served)}`,
      `server_name: ${JSON.stringify(place?.name ?? serverName(token))}`,
      `authorization { token: ${JSON.stringify(token)} }`,
      'ping_interval: "5s"',
      'ping_max: 2',
      'write_deadline: "5s"',
      'max_payload: 4194304',
      `log_file: ${JSON.stringify(this.log)}`,
      'logfile_size_limit: 8388608',
      'logfile_max_num: 2',
      'jetstream {',
      `  store_dir: ${JSON.stringify(join(this.directory, 'jetstream'))}`,
      '  sync_interval: always',
      '  limits { default_max_consumers: 20000 }',
      '}',
      ...(place?.cluster === undefined ? [] : clusterLines(place.cluster)),
    ];
    await this.#write('nats.conf', `${lines.join('\n')}\n`);
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

  async #read(name: string): Promise<string | undefined> {
    const text = await readFile(join(this.directory, name), 'utf8').catch(() => undefined);
    return text?.trim();
  }

  /** Never half written: a crash leaves the old file or the new one. */
  async #write(name: string, text: string): Promise<void> {
    const path = join(this.directory, name);
    await writeFile(`${path}.new`, text, { mode: 0o600 });
    await rename(`${path}.new`, path);
  }
}

/** Tells our server from a stranger on the same port, without giving the token away. */
export const serverName = (token: string): string => `podmesh-${token.slice(0, 12)}`;

/** Whether nobody listens on the loopback port. */
export function isFree(port: number): Promise<boolean> {
  return listening(port).then(
    () => true,
    () => false,
  );
}

/** A loopback port that was free a moment ago. */
export const freePort = (): Promise<number> => listening(0);

function listening(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(port, '127.0.0.1', () => {
      const address = probe.address();
      const chosen = typeof address === 'object' && address !== null ? address.port : port;
      probe.close(() => resolve(chosen));
    });
  });
}
