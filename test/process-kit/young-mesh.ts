import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MeshFolder, memberAddress } from '@podmesh/authority';
import { systemClock } from '@podmesh/daemon';
import { AnchorBook, connectMesh, followAnchors, type MeshConnection } from '@podmesh/jetstream';
import { CommandLine, type Said } from './command-line.ts';
import { DaemonProcess } from './daemon-process.ts';
import { Ending } from './ending.ts';
import { killServersOf } from './kill-servers.ts';
import { removeContainers } from './podman-containers.ts';
import { removeFolder } from './remove-folder.ts';
import { within } from './within.ts';

const MINUTES = 60_000;
const LOOK_MS = 200;

/** Daemons, three at first: the first one made the mesh and carries it alone, the others joined with lines of invitation. */
export class YoungMesh {
  readonly peers: DaemonProcess[] = [];
  readonly ending = new Ending();
  folder = '';

  /** `words`: for the first one. */
  async start(
    env: Readonly<Record<string, string>> = {},
    words: readonly string[] = [],
  ): Promise<void> {
    this.folder = await mkdtemp(join(tmpdir(), 'podmesh-anchors-'));
    this.ending.defer(() => removeFolder(this.folder));
    await this.add('ann', env, { words });
    await Promise.all(['bob', 'cid'].map((name) => this.add(name)));
  }

  get names(): readonly string[] {
    return this.peers.map(({ name }) => name);
  }

  get ann(): DaemonProcess {
    const [first] = this.peers;
    if (first === undefined) throw new Error('nobody started');
    return first;
  }

  /** The command as the owner of that peer types it. */
  type({ options }: DaemonProcess, ...words: readonly string[]): Promise<Said> {
    return new CommandLine(options.home, this.folder).run(...words);
  }

  /** The same, typed again for as long as nobody answers. */
  answer({ options }: DaemonProcess, ...words: readonly string[]): Promise<Said> {
    return new CommandLine(options.home, this.folder).untilAnswered(...words);
  }

  /** What a command answers that has to go well, typed again for as long as nobody answers. */
  well({ options }: DaemonProcess, ...words: readonly string[]): Promise<string> {
    return new CommandLine(options.home, this.folder).well(...words);
  }

  /** `podmesh anchors set` with all of these, typed where the keys are. */
  setAnchors(...anchors: readonly DaemonProcess[]): Promise<Said> {
    const wanted = anchors.length === 0 ? this.peers : anchors;
    return this.type(this.ann, 'anchors', 'set', ...wanted.map(({ name }) => name));
  }

  /** A client of that peer's owner that follows the record, as every program of podmesh does. */
  async connect({ options }: DaemonProcess = this.ann): Promise<MeshConnection> {
    const url = await memberAddress(new MeshFolder(join(options.home, 'mesh')), ['user']);
    const connection = await connectMesh({ url, name: 'acceptance', timeoutMs: MINUTES });
    const following = new AbortController();
    this.ending.defer(async () => {
      following.abort();
      await connection.close();
    });
    void followAnchors(connection, () => undefined, following.signal);
    return connection;
  }

  /** The daemon and its server, at once. */
  async pullThePlug({ options }: DaemonProcess): Promise<void> {
    const daemon = this.peers.find(({ name }) => name === options.name);
    await killServersOf(options.home);
    await daemon?.kill();
  }

  /** One more peer; the first one makes the mesh. */
  async add(
    name: string,
    env: Readonly<Record<string, string>> = {},
    { role = 'peer', words = [] }: { role?: string; words?: readonly string[] } = {},
  ): Promise<DaemonProcess> {
    const unique = `${name}-${randomBytes(3).toString('hex')}`;
    const home = join(this.folder, unique);
    const plain = ['--runtime', 'podman', '--registry-port', '0', '--no-discovery'];
    const daemon = new DaemonProcess({
      ...{ name: unique, home, cores: 4 },
      // A steady machine of its own, whatever runs the test.
      env: { PODMESH_PRETEND_HOST: unique, PODMESH_PRETEND_UPTIME: '100000', ...env },
      words: [...plain, ...words],
    });
    // In the order in which they were asked for, whoever is there first.
    const isFirst = this.peers.push(daemon) === 1;
    if (!isFirst) await this.#join(daemon, role);
    this.ending.defer(() => removeContainers({ peer: unique }));
    this.ending.defer(() => daemon.endPodmanService());
    // A majority of them has to be there for a goodbye.
    this.ending.defer(() => this.pullThePlug(daemon));
    await daemon.start();
    return daemon;
  }

  /** What the disk of that peer says of its server. */
  async seatOf({ options }: DaemonProcess): Promise<Readonly<Record<string, unknown>>> {
    return JSON.parse(await readFile(join(options.home, 'nats', 'seat.json'), 'utf8'));
  }

  async #join({ name, options }: DaemonProcess, role: string): Promise<void> {
    const place = await new MeshFolder(join(this.ann.options.home, 'mesh')).place();
    const words = ['--address', place?.servers[0] ?? '', '--role', role];
    const out = await this.well(this.ann, 'invite', ...words);
    const cli = new CommandLine(options.home, this.folder);
    const { code, err } = await cli.feed(out, 'join', '-', '--name', name);
    if (code !== 0) throw new Error(`${name} could not join: ${err}`);
  }
}

/** Resolves with the number of anchors once the record has this generation. */
export async function untilGeneration(mesh: MeshConnection, generation: number): Promise<number> {
  const book = new AnchorBook(mesh);
  let given = false;
  const look = async (): Promise<number> => {
    while (!given) {
      const record = await book.read().catch(() => undefined);
      if (record !== undefined && record.generation >= generation) return record.anchors.length;
      await systemClock.sleep(LOOK_MS);
    }
    return 0;
  };
  return within(3 * MINUTES, () => `generation ${generation} of the anchors`, look()).finally(
    () => {
      given = true;
    },
  );
}
