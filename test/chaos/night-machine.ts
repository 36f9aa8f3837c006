import { CommandLine, type Said } from '../process-kit/command-line.ts';
import { DaemonProcess } from '../process-kit/daemon-process.ts';
import type { Leaf } from '../process-kit/hub-network.ts';
import { killServersOf } from '../process-kit/kill-servers.ts';
import { removeContainers } from '../process-kit/podman-containers.ts';
import { killBeside, killContainersOf, signalBeside, unmountBelow } from './machine-processes.ts';
import { LossyDisk, SmallDisk } from './night-disks.ts';

/** What a machine of the night is made of. */
export interface NightMachineParts {
  /** Its name in plans. */
  readonly role: string;
  /** Nobody else on this machine has it: containers are found by it. */
  readonly name: string;
  readonly leaf: Leaf;
  /** As the machine sees it; the way there from this process. */
  readonly home: string;
  readonly homeOutside: string;
  readonly cores: number;
  readonly directory: string;
  /** More words for the daemon. */
  readonly words: readonly string[];
  readonly disk?: SmallDisk | LossyDisk;
}

/** One computer: a network of its own with a daemon in it, which may carry the mesh with a nats-server. */
export class NightMachine {
  readonly role: string;
  readonly name: string;
  readonly leaf: Leaf;
  readonly daemon: DaemonProcess;
  readonly cli: CommandLine;
  readonly #parts: NightMachineParts;

  constructor(parts: NightMachineParts) {
    const { name, leaf, home, cores, directory } = parts;
    this.#parts = parts;
    this.role = parts.role;
    this.name = name;
    this.leaf = leaf;
    // All of them are this computer, and would not count as several where copies are to be apart.
    const env = { ...leaf.env, PODMESH_PRETEND_HOST: name };
    this.cli = new CommandLine(home, directory, env, leaf.under);
    // Root of a user namespace, and nobody outside of it.
    const words = ['--allow-root', '--registry-port', '0', '--no-discovery', ...parts.words];
    this.daemon = new DaemonProcess({ name, home, cores, env, under: leaf.under, words });
  }

  /** What its disk lost its unsynced writes at, if it can. */
  get isLossy(): boolean {
    return this.#parts.disk instanceof LossyDisk;
  }

  /** Whether it has room for nobody else's bytes when it is told so. */
  get smallDisk(): SmallDisk {
    const { disk } = this.#parts;
    if (disk instanceof SmallDisk) return disk;
    throw new TypeError(`${this.name} has no disk that can be filled`);
  }

  /** Of a file in its home, for this process. */
  at(name: string): string {
    return `${this.#parts.homeOutside}/${name}`;
  }

  /** By a line of invitation. */
  async join(line: string): Promise<void> {
    const { code, out, err } = await this.cli.feed(line, 'join', '-', '--name', this.name);
    if (code !== 0) throw new Error(`${this.name} could not join: ${out}${err}`);
  }

  /** As at a boot; resolves when its peer claims tasks. Its server may have to catch up then. */
  async start(): Promise<void> {
    await this.daemon.start();
  }

  /** SIGKILL for daemon and server; what runs in containers does not notice. */
  async kill(): Promise<void> {
    // The daemon would start its server again.
    await this.daemon.kill();
    await killServersOf(this.#parts.homeOutside);
  }

  /** All processes end at once, those in containers too, and where the disk is such a one, what was not synced is lost. */
  async losePower(): Promise<void> {
    const { disk, home } = this.#parts;
    await signalBeside(this.leaf.pid, 'SIGSTOP');
    await killContainersOf(this.name);
    await this.kill();
    await killBeside(this.leaf.pid);
    await unmountBelow(this.leaf, home);
    if (disk instanceof LossyDisk) await disk.cutPower();
  }

  /** As a machine whose lid is closed: server and daemon stand still. */
  async freeze(): Promise<void> {
    await signalBeside(this.leaf.pid, 'SIGSTOP');
  }

  async thaw(): Promise<void> {
    await signalBeside(this.leaf.pid, 'SIGCONT');
  }

  /** The words of a command that has to go well here, typed again while leaders are elected. */
  async well(...words: readonly string[]): Promise<string> {
    try {
      return (await this.cli.well(...words)).trim();
    } catch (error) {
      throw new Error(`on ${this.name}: ${error}`, { cause: error });
    }
  }

  run(...words: readonly string[]): Promise<Said> {
    return this.cli.run(...words);
  }

  /** Leaves nothing, whatever has become of it. */
  async end(): Promise<void> {
    await this.thaw();
    await killBeside(this.leaf.pid);
    await this.kill();
    await killContainersOf(this.name);
    await removeContainers({ peer: this.name });
    await unmountBelow(this.leaf, this.#parts.home);
    if (this.#parts.disk instanceof SmallDisk) await this.#parts.disk.unmount();
  }
}
