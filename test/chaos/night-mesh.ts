import { randomBytes } from 'node:crypto';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectMesh, type Mesh, openMesh } from '@podmesh/jetstream';
import { Ending } from '../process-kit/ending.ts';
import { HubNetwork, type Leaf } from '../process-kit/hub-network.ts';
import { removeFolder } from '../process-kit/remove-folder.ts';
import { AnchorServer, CLIENT_PORT } from './anchor-server.ts';
import { LossyDisk, SmallDisk } from './night-disks.ts';
import { NightMachine } from './night-machine.ts';
import { NightMembers } from './night-members.ts';

const CONNECT_MS = 120_000;
/** Nobody serves there: the servers are in the network itself. */
const NO_SERVER = 'nats://nobody@127.0.0.1:1';
const ANCHORS = ['ann', 'bob', 'cid'];
const OTHERS = ['laptop', 'desk'];

type NightParts = Pick<NightMesh, 'anchors' | 'laptop' | 'desk' | 'mesh' | 'folder' | 'ending'>;

/**
 * Five machines, each in a network of its own: three that carry the mesh and work, a laptop that publishes, and a desk
 * whose disk can be full. Roles and TLS everywhere, as `podmesh join` sets them up.
 */
export class NightMesh {
  readonly anchors: readonly NightMachine[];
  readonly laptop: NightMachine;
  readonly desk: NightMachine;
  /** The test's own connection, which reaches every anchor that the hub reaches. */
  readonly mesh: Mesh;
  readonly folder: string;
  readonly ending: Ending;

  private constructor(parts: NightParts) {
    this.anchors = parts.anchors;
    this.laptop = parts.laptop;
    this.desk = parts.desk;
    this.mesh = parts.mesh;
    this.folder = parts.folder;
    this.ending = parts.ending;
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
  const members = await NightMembers.found(folder);
  const leaves = new Map<string, Leaf>();
  for (const name of [...ANCHORS, ...OTHERS]) leaves.set(name, await network.addLeaf());
  const addresses = ANCHORS.map((name) => leaves.get(name)?.address ?? '');
  const suffix = randomBytes(3).toString('hex');

  const build = async (name: string): Promise<NightMachine> => {
    const leaf = leaves.get(name);
    if (leaf === undefined) throw new TypeError(`no network for ${name}`);
    const unique = `${name}-${suffix}`;
    const anchor = ANCHORS.indexOf(name);
    const isAnchor = anchor >= 0;
    const disk = await diskFor(name, { leaf, folder, anchor });
    const place = disk?.path ?? folder;
    const outside = disk instanceof SmallDisk ? disk.outside : place;
    const [home, homeOutside] = [join(place, unique), join(outside, unique)];
    const servers = addresses.map((address) => `${address}:${CLIENT_PORT}`);
    const joined = await members.admit(homeOutside, {
      name: unique,
      address: leaf.address,
      isAnchor,
      servers,
    });
    const server = isAnchor
      ? new AnchorServer({
          name: unique,
          address: leaf.address,
          addresses,
          directory: join(place, `${unique}-nats`),
          mesh: joined,
          trust: await members.trust(),
          under: leaf.under,
          reach: (port) => network.reach(leaf.address, port),
        })
      : undefined;
    const machine = new NightMachine({
      ...{ role: name, name: unique, leaf, home, homeOutside, cores, directory: folder, env: {} },
      ...(disk === undefined ? {} : { disk }),
      ...(server === undefined ? {} : { server }),
    });
    ending.defer(() => machine.end());
    return machine;
  };

  const anchors: NightMachine[] = [];
  for (const name of ANCHORS) anchors.push(await build(name));
  const [laptop, desk] = [await build('laptop'), await build('desk')];
  for (const { server } of anchors) await server?.start();
  for (const { server } of anchors) await server?.untilHealthy();
  const ports = await Promise.all(addresses.map((address) => network.reach(address, CLIENT_PORT)));
  const url = await members.observer(ports.map((port) => `127.0.0.1:${port}`));
  const connection = await connectMesh({ url, name: 'observer', timeoutMs: CONNECT_MS });
  ending.defer(() => connection.close());
  await connection.ensureStreams({ replicas: 3 });
  const mesh = openMesh(connection);
  ending.defer(() => mesh.stop());
  await Promise.all([...anchors, desk, laptop].map(({ daemon }) => daemon.start()));
  return { anchors, laptop, desk, mesh, folder, ending };
}

/** The desk's can be full, and those of anchors lose what was not synced, where this machine can do that. */
async function diskFor(
  name: string,
  { leaf, folder, anchor }: { leaf: Leaf; folder: string; anchor: number },
): Promise<SmallDisk | LossyDisk | undefined> {
  if (name === 'desk') return SmallDisk.mount(leaf, join(folder, 'desk-disk'));
  return anchor < 0 ? undefined : LossyDisk.at(anchor + 1, process.env);
}
