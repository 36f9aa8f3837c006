import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { Ending } from './ending.ts';
import type { PeerWish } from './process-mesh.ts';
import { within } from './within.ts';

const NATS_PORT = 4222;
const READY_MS = 240_000;
const COMMAND_MS = 240_000;
/** Variables by which Podman knows that it is in its own user namespace already. */
const PODMAN_VARIABLE = /^_?CONTAINERS_/;

/** Listens in its network, and leaves what connects to its parent, which is in another. */
const HAND_OVER = `
  const server = require('node:net').createServer();
  server.listen(${NATS_PORT}, '0.0.0.0', () => process.send('listening', server, () => server.close()));
  process.on('disconnect', () => process.exit());
`;

/** Takes connections of a listener that is in its parent's network, and makes them in its own. */
const REACH_INTO = `
  const { connect } = require('node:net');
  const [host, port] = process.argv.slice(1);
  process.once('message', (_, server) => {
    server.on('connection', (socket) => {
      const inside = connect(Number(port), host);
      for (const [from, to] of [[socket, inside], [inside, socket]]) {
        from.on('error', () => to.destroy());
        from.on('close', () => to.destroy());
        from.pipe(to);
      }
    });
    process.send('open');
  });
  process.on('disconnect', () => process.exit());
`;

/** What is dropped on the way answers nothing: ten seconds are for ever on lines in this machine's memory, however busy it is. */
const CONNECT = `
  const [port, host] = process.argv.slice(1);
  const end = (answer) => { process.stdout.write(answer); socket.destroy(); };
  const socket = require('node:net').connect({ port, host, timeout: 10000 });
  socket.once('connect', () => end('connected'));
  for (const failure of ['timeout', 'error']) socket.once(failure, () => end(failure));
`;

/** How a daemon is put into a leaf, and where it finds the server there. */
export type Leaf = Required<Pick<PeerWish, 'under' | 'env' | 'nats'>> & {
  /** Its only address. */
  readonly address: string;
  /** Of a process that is in all of its namespaces, and does nothing. */
  readonly pid: number;
  /** Whether something there can connect to host and port of the URL. */
  readonly reaches: (url: URL | undefined) => Promise<boolean>;
  /** Pulls the plug of its line; what is on its way is lost, and nobody is told. */
  readonly cut: () => Promise<unknown>;
  readonly mend: () => Promise<unknown>;
};

export interface HubNetworkOptions {
  /** The hub passes on what one leaf sends to another. */
  readonly forwards?: boolean;
  /** What leaves a leaf in a second, as `tc` writes it: 100mbit. Absent: all that the machine can do. */
  readonly rate?: string;
}

/** A process that does nothing but keep a network namespace. */
interface Holder {
  readonly pid: number;
  readonly enter: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Machines of a star, each a network namespace: every leaf has one line, to the hub, which answers at the server's
 * port and passes nothing on from one leaf to another, unless it is told to. The namespaces belong to the user namespace in which Podman
 * runs containers without root, so that daemons in them can, too.
 */
export class HubNetwork {
  readonly #ending: Ending;
  readonly #hub: Holder;
  readonly #url: URL;
  readonly #rate: string | undefined;
  #leaves = 0;

  private constructor(
    ending: Ending,
    parts: { readonly hub: Holder; readonly url: URL; readonly rate: string | undefined },
  ) {
    this.#ending = ending;
    this.#hub = parts.hub;
    this.#url = parts.url;
    this.#rate = parts.rate;
  }

  /** Why this machine lets nobody make networks; undefined where it does. */
  static async problem(): Promise<string | undefined> {
    try {
      await command('podman', 'unshare', 'unshare', '--net', 'ip', 'link', 'set', 'lo', 'up');
      return undefined;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  /** `natsUrl`: of a server that this process reaches; leaves do so through the hub. */
  static async start(
    natsUrl: string,
    { forwards = false, rate }: HubNetworkOptions = {},
  ): Promise<HubNetwork> {
    const ending = new Ending();
    try {
      const hub = await hold(ending, forwards);
      const url = new URL(natsUrl);
      await serveAt(hub, Number(url.port), ending);
      return new HubNetwork(ending, { hub, url, rate });
    } catch (error) {
      await ending.end();
      throw error;
    }
  }

  async addLeaf(): Promise<Leaf> {
    this.#leaves += 1;
    const subnet = `10.77.${this.#leaves}`;
    const line = `leaf${this.#leaves}`;
    const leaf = await hold(this.#ending, false);
    const atHub = (...words: string[]) => command(...this.#hub.enter, 'ip', ...words);
    const atLeaf = (...words: string[]) => command(...leaf.enter, 'ip', ...words);
    const peer = ['type', 'veth', 'peer', 'name', 'eth0', 'netns', String(leaf.pid)];
    await atHub('link', 'add', line, ...peer);
    await atHub('address', 'add', `${subnet}.1/24`, 'dev', line);
    await atHub('link', 'set', line, 'up');
    await atLeaf('address', 'add', `${subnet}.2/24`, 'dev', 'eth0');
    await atLeaf('link', 'set', 'eth0', 'up');
    // As behind a firewall: what is sent to another leaf leaves, and comes to nothing where the hub drops it.
    await atLeaf('route', 'add', 'default', 'via', `${subnet}.1`);
    if (this.#rate !== undefined) {
      const slow = ['root', 'tbf', 'rate', this.#rate, 'burst', '256kb', 'latency', '50ms'];
      await command(...leaf.enter, 'tc', 'qdisc', 'add', 'dev', 'eth0', ...slow);
    }
    const { username } = this.#url;
    return {
      address: `${subnet}.2`,
      pid: leaf.pid,
      under: leaf.enter,
      env: leaf.env,
      nats: `nats://${username}@${subnet}.1:${NATS_PORT}`,
      reaches: async (url) => {
        const place = [url?.port ?? '', url?.hostname ?? ''];
        const answer = await command(...leaf.enter, process.execPath, '-e', CONNECT, ...place);
        return answer === 'connected';
      },
      cut: () => atHub('link', 'set', line, 'down'),
      mend: () => atHub('link', 'set', line, 'up'),
    };
  }

  /** One more line for each of these leaves, to a network of their own in which all hear all: `eth1`, in this subnet. */
  async addLan(subnet: string, leaves: readonly Leaf[]): Promise<void> {
    const lan = `lan${subnet.split('.').at(-1)}`;
    const atHub = (...words: string[]) => command(...this.#hub.enter, 'ip', ...words);
    await atHub('link', 'add', lan, 'type', 'bridge');
    await atHub('link', 'set', lan, 'up');
    for (const [index, leaf] of leaves.entries()) {
      const atLeaf = (...words: string[]) => command(...leaf.under, 'ip', ...words);
      const peer = ['type', 'veth', 'peer', 'name', 'eth1', 'netns', String(leaf.pid)];
      await atHub('link', 'add', `${lan}-${index}`, 'master', lan, ...peer);
      await atHub('link', 'set', `${lan}-${index}`, 'up');
      await atLeaf('address', 'add', `${subnet}.${index + 1}/24`, 'broadcast', '+', 'dev', 'eth1');
      await atLeaf('link', 'set', 'eth1', 'up');
    }
  }

  /** A port on this machine's loopback that leads to host and port as the hub reaches them, while it does. */
  async reach(host: string, port: number): Promise<number> {
    const [program = '', ...words] = [...this.#hub.enter, process.execPath, '-e', REACH_INTO];
    const child = spawn(program, [...words, host, String(port)], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.#ending.defer(() => ended(child));
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const own = (server.address() as AddressInfo).port;
    const open = once(child, 'message');
    child.send('listening', server, () => server.close());
    await within(READY_MS, () => `a way to ${host}:${port}`, open);
    return own;
  }

  /** Takes the networks away, and what is left in them loses the mesh. Works twice. */
  async stop(): Promise<void> {
    await this.#ending.end();
  }
}

/** A new network, with nothing in it but itself. It is gone when this process is, whatever becomes of that. */
async function hold(ending: Ending, forwards: boolean): Promise<Holder> {
  // Whatever the machine's own network does, from which a new one may take it. The shell itself waits until its
  // standard input ends: while a process becomes another program, nobody can read its environment.
  const script = [
    `echo ${forwards ? 1 : 0} > /proc/sys/net/ipv4/ip_forward`,
    'ip link set lo up',
    'echo $$',
    'read -r end',
  ].join(' && ');
  const child = spawn('podman', ['unshare', 'unshare', '--net', 'sh', '-c', script], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  ending.defer(() => ended(child));
  const [pid] = await within(READY_MS, () => 'a network namespace', firstLine(child));
  const variables = (await readFile(`/proc/${pid}/environ`, 'utf8')).split('\0');
  const podman = variables.filter((variable) => PODMAN_VARIABLE.test(variable));
  const env = Object.fromEntries(podman.map((variable) => splitOnce(variable)));
  const enter = ['nsenter', `--target=${pid}`, '--user', '--mount', '--net'];
  return { pid: Number(pid), enter: [...enter, '--preserve-credentials'], env };
}

/** A listener in the hub whose connections are made to the server on this side. */
async function serveAt({ enter }: Holder, port: number, ending: Ending): Promise<void> {
  const [program = '', ...words] = [...enter, process.execPath, '-e', HAND_OVER];
  const child = spawn(program, words, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  ending.defer(() => ended(child));
  const listening = new Promise<Server>((resolve, reject) => {
    child.once('message', (_, server) => resolve(server as Server));
    child.once('exit', (code) => reject(new Error(`the hub's listener ended with ${code}`)));
  });
  const server = await within(READY_MS, () => "the hub's listener", listening);
  const open = new Set<Socket>();
  server.on('connection', (socket) => {
    const upstream = connect(port, '127.0.0.1');
    for (const [from, to] of [
      [socket, upstream],
      [upstream, socket],
    ] as const) {
      open.add(from);
      from.on('error', () => to.destroy());
      from.on('close', () => {
        open.delete(from);
        to.destroy();
      });
      from.pipe(to);
    }
  });
  ending.defer(async () => {
    for (const socket of open) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.stdin?.end();
  if (child.connected) child.disconnect();
  await within(READY_MS, () => `process ${child.pid} to end`, exit);
}

async function firstLine({ stdout }: ChildProcess): Promise<readonly string[]> {
  if (stdout === null) throw new TypeError('a holder tells on a pipe that it is ready');
  const lines = createInterface({ input: stdout });
  return (await Promise.race([
    once(lines, 'line'),
    once(lines, 'close').then(() => Promise.reject(new Error('no network namespace was made'))),
  ])) as string[];
}

async function command(...[program = '', ...words]: readonly string[]): Promise<string> {
  return (await promisify(execFile)(program, words, { timeout: COMMAND_MS })).stdout;
}

function splitOnce(variable: string): [string, string] {
  const at = variable.indexOf('=');
  return [variable.slice(0, at), variable.slice(at + 1)];
}
