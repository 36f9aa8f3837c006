import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '@podmesh/jetstream';
import { Ending } from './ending.ts';
import { NatsServerProcess } from './nats-server-process.ts';
import { untilSeen } from './within.ts';

const NAMES = ['one', 'two', 'three'];
const HEALTHY_MS = 240_000;
const LOOK_MS = 50;

/** Three nats-servers on loopback that replicate their streams among each other. */
export class NatsCluster {
  readonly servers: readonly NatsServerProcess[];
  readonly #ending: Ending;

  private constructor(servers: readonly NatsServerProcess[], ending: Ending) {
    this.servers = servers;
    this.#ending = ending;
  }

  static async start(): Promise<NatsCluster> {
    const ending = new Ending();
    try {
      const folder = await mkdtemp(join(tmpdir(), 'podmesh-cluster-'));
      ending.defer(() => rm(folder, { recursive: true, force: true }));
      const servers = await createServers(folder);
      for (const server of servers) ending.defer(() => server.stop());
      await Promise.all(servers.map((server) => server.start()));
      await Promise.all(servers.map((server) => untilHealthy(server)));
      return new NatsCluster(servers, ending);
    } catch (error) {
      await ending.end();
      throw error;
    }
  }

  /** All of them, for clients that may use any. */
  get url(): string {
    return this.servers.map(({ url }) => url).join(',');
  }

  /** The server that leads the stream, as the servers themselves tell. */
  async leaderOf(stream: string): Promise<NatsServerProcess> {
    let leader: NatsServerProcess | undefined;
    const isElected = async (): Promise<boolean> => {
      for (const server of this.servers) {
        const name = (await streamsOf(server)).find((one) => one.name === stream)?.cluster?.leader;
        leader ??= this.servers.find(({ place }) => place?.name === name);
      }
      return leader !== undefined;
    };
    await untilSeen(HEALTHY_MS, () => `a server to tell who leads ${stream}`, isElected, LOOK_MS);
    if (leader === undefined) throw new Error(`nobody leads ${stream}`);
    return leader;
  }

  async stop(): Promise<void> {
    await this.#ending.end();
  }
}

/** Resolves when the server has caught up with the others. */
export async function untilHealthy(server: NatsServerProcess): Promise<void> {
  let said = '';
  const isHealthy = async (): Promise<boolean> => {
    said = await ask(server, 'healthz').then(JSON.stringify, String);
    return said.includes('"ok"');
  };
  const what = () => `server ${server.place?.name} to be healthy; it says ${said}`;
  await untilSeen(HEALTHY_MS, what, isHealthy, LOOK_MS);
}

async function createServers(folder: string): Promise<readonly NatsServerProcess[]> {
  const routes = await Promise.all(NAMES.map(() => freePort()));
  return Promise.all(
    NAMES.map(async (name, number) => {
      const routePort = routes[number] ?? 0;
      const place = { name, routePort, routes, monitorPort: await freePort() };
      return NatsServerProcess.create(join(folder, name), place);
    }),
  );
}

interface StreamTold {
  readonly name: string;
  readonly cluster?: { readonly leader?: string };
}

async function streamsOf(server: NatsServerProcess): Promise<readonly StreamTold[]> {
  const told = (await ask(server, 'jsz?streams=true')) as {
    account_details?: { stream_detail?: readonly StreamTold[] }[];
  };
  return (told.account_details ?? []).flatMap((account) => account.stream_detail ?? []);
}

async function ask(server: NatsServerProcess, what: string): Promise<unknown> {
  const answer = await fetch(`http://127.0.0.1:${server.place?.monitorPort}/${what}`);
  return answer.json();
}
