import { randomBytes } from 'node:crypto';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  dialMesh,
  type Mesh,
  type MeshAddress,
  type MeshConnection,
  openMesh,
} from '@podmesh/jetstream';
import { Ending } from '../process-kit/ending.ts';
import { HubNetwork, type Leaf } from '../process-kit/hub-network.ts';
import { removeFolder } from '../process-kit/remove-folder.ts';
import { untilSeen } from '../process-kit/within.ts';
import { LossyDisk, SmallDisk } from './night-disks.ts';
import { NightMachine } from './night-machine.ts';
import { NightObserver } from './night-observer.ts';

interface HealthAnswer {
  readonly server: { readonly name: string };
  readonly data: { readonly status: string };
}

const CONNECT_MS = 300_000;
const HEALTHY_MS = 300_000;
const LOOK_MS = 250;
const ANSWER_MS = 1_000;
const HEALTH = '$SYS.REQ.SERVER.PING.HEALTHZ';
/** Where anchors let clients in, unless that is taken. */
const CLIENT_PORT = 4222;
/** Nobody serves there: the servers are in the network itself. */
const NO_SERVER = 'nats://nobody@127.0.0.1:1';
/** Makes the mesh, has its keys, and carries it alone at first. */
const FOUNDER = 'ann';
const ANCHORS = [FOUNDER, 'bob', 'cid'];
const OTHERS = ['laptop', 'desk'];

type NightParts = Pick<NightMesh, 'anchors' | 'laptop' | 'desk' | 'mesh' | 'folder' | 'ending'> & {
  readonly system: MeshConnection;
};

/**
 * Five machines, each in a network of its own: three that carry the mesh and work, a laptop that publishes, and a desk
 * whose disk can be full. The first one makes the mesh, the others join it by lines of invitation, and `podmesh anchors set`
 * makes three servers of one.
 */
export class NightMesh {
  readonly anchors: readonly NightMachine[];
  readonly laptop: NightMachine;
  readonly desk: NightMachine;
  /** The test's own connection, which reaches every anchor that the hub reaches. */
  readonly mesh: Mesh;
  readonly folder: string;
  readonly ending: Ending;
  readonly #system: MeshConnection;

  private constructor(parts: NightParts) {
    this.anchors = parts.anchors;
    this.laptop = parts.laptop;
    this.desk = parts.desk;
    this.mesh = parts.mesh;
    this.folder = parts.folder;
    this.ending = parts.ending;
    this.#system = parts.system;
  }

  static async start(cores = 2): Promise<NightMesh> {
    const ending = new Ending();
    try {
      return new NightMesh(await begin(ending, cores));
    } catch (error) {
      await ending.end();
      throw error;
    }
  }

  get machines(): readonly NightMachine[] {
    return [...this.anchors, this.desk, this.laptop];
  }

  /** Resolves when the server of an anchor has all that the others have; at once for a machine that has none. */
  async untilCaughtUp({ name }: NightMachine): Promise<void> {
    if (!this.anchors.some((anchor) => anchor.name === name)) return;
    let told = '';
    const isHealthy = async (): Promise<boolean> => {
      told = await this.#healthOf(name).catch(String);
      return told === 'ok';
    };
    await untilSeen(HEALTHY_MS, () => `${name} to be healthy; it says ${told}`, isHealthy, LOOK_MS);
  }

  /** What the server of that anchor says of itself and of its streams. */
  async #healthOf(name: string): Promise<string> {
    const limits = { maxWait: ANSWER_MS, strategy: 'timer' } as const;
    for await (const answer of await this.#system.nc.requestMany(HEALTH, '{}', limits)) {
      const { server, data } = answer.json<HealthAnswer>();
      if (server.name.startsWith(`${name}-`)) return data.status;
    }
    return 'nothing';
  }

  /** The end of what each daemon said. */
  told(): string {
    return this.machines.map(({ daemon }) => daemon.said.slice(-1_500)).join('\n');
  }

  async stop(): Promise<void> {
    await this.ending.end();
  }
}

async function begin(ending: Ending, cores: number): Promise<NightParts> {
  const folder = await mkdtemp(join(tmpdir(), 'podmesh-night-'));
  ending.defer(() => removeFolder(folder));
  const network = await HubNetwork.start(NO_SERVER, { forwards: true });
  ending.defer(() => network.stop());
  const suffix = randomBytes(3).toString('hex');

  const build = async (role: string): Promise<NightMachine> => {
    const leaf = await network.addLeaf();
    const name = `${role}-${suffix}`;
    const disk = await diskFor(role, leaf, folder);
    const place = disk?.path ?? folder;
    const outside = disk instanceof SmallDisk ? disk.outside : place;
    const machine = new NightMachine({
      ...{ role, name, leaf, cores, directory: folder },
      ...{ home: join(place, name), homeOutside: join(outside, name) },
      words: role === FOUNDER ? ['--listen', leaf.address] : [],
      ...(disk === undefined ? {} : { disk }),
    });
    ending.defer(() => machine.end());
    return machine;
  };

  const founder = await build(FOUNDER);
  await founder.start();
  const joined = new Map<string, NightMachine>();
  for (const role of [...ANCHORS, ...OTHERS]) {
    const machine = role === FOUNDER ? founder : await build(role);
    if (machine !== founder) await machine.join(await founder.well('invite'));
    joined.set(role, machine);
  }
  const machineOf = (role: string): NightMachine => {
    const machine = joined.get(role);
    if (machine === undefined) throw new TypeError(`nobody is called ${role}`);
    return machine;
  };
  const anchors = ANCHORS.map(machineOf);
  const [laptop, desk] = [machineOf('laptop'), machineOf('desk')];
  await Promise.all([...joined.values()].map((one) => (one === founder ? undefined : one.start())));
  await founder.well('anchors', 'set', ...anchors.map(({ name }) => name));

  const ports = await Promise.all(
    anchors.map(({ leaf }) => network.reach(leaf.address, CLIENT_PORT)),
  );
  const servers = ports.map((port) => `127.0.0.1:${port}`);
  const observer = new NightObserver(founder.at('.'));
  const connect = async (url: MeshAddress) => {
    const connection = await dialMesh(url, 'observer', CONNECT_MS);
    ending.defer(() => connection.close());
    return connection;
  };
  const system = await connect(await observer.system(servers));
  const mesh = openMesh(await connect(await observer.member(servers)));
  ending.defer(() => mesh.stop());
  return { anchors, laptop, desk, mesh, system, folder, ending };
}

/** The desk's can be full, and those of anchors lose what was not synced, where this machine can do that. */
async function diskFor(
  role: string,
  leaf: Leaf,
  folder: string,
): Promise<SmallDisk | LossyDisk | undefined> {
  const anchor = ANCHORS.indexOf(role);
  if (role === 'desk') return SmallDisk.mount(leaf, join(folder, 'desk-disk'));
  return anchor < 0 ? undefined : LossyDisk.at(anchor + 1, process.env);
}
