import { execFile } from 'node:child_process';
import { mkdir, open, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Leaf } from '../process-kit/hub-network.ts';
import { within } from '../process-kit/within.ts';

const COMMAND_MS = 240_000;
const ANSWER_MS = 240_000;
/** Room for a peer to claim tasks, all of it in memory once it is used. */
const ROOM_BYTES = 4 * 2 ** 30;
const FILL_TRIES = 50;

/** A disk of its own for one machine, which can be full from one moment to the next. Only that machine sees what is on it. */
export class SmallDisk {
  /** As the machine sees it. */
  readonly path: string;
  /** As this process does. */
  readonly outside: string;
  readonly #leaf: Leaf;

  private constructor(leaf: Leaf, path: string) {
    this.#leaf = leaf;
    this.path = path;
    this.outside = `/proc/${leaf.pid}/root${path}`;
  }

  static async mount(leaf: Leaf, path: string): Promise<SmallDisk> {
    await mkdir(path, { recursive: true });
    const disk = new SmallDisk(leaf, path);
    await disk.#inside('mount', '-t', 'tmpfs', '-o', `size=${ROOM_BYTES}`, 'night', path);
    return disk;
  }

  /** Nobody can write one more block. */
  async fill(): Promise<void> {
    for (let left = FILL_TRIES; left > 0; left -= 1) {
      const { blocks, bfree, bsize } = await statfs(this.outside);
      const used = (blocks - bfree) * bsize;
      // Refused when somebody wrote meanwhile: then once more.
      const isFull = await this.#resize(used).then(
        () => true,
        () => false,
      );
      if (isFull) return;
    }
    throw new Error(`${this.path} could not be filled`);
  }

  async makeRoom(): Promise<void> {
    await this.#resize(ROOM_BYTES);
  }

  async unmount(): Promise<void> {
    await this.#inside('umount', '--lazy', this.path);
    await rm(this.path, { recursive: true, force: true });
  }

  async #resize(bytes: number): Promise<void> {
    await this.#inside('mount', '-o', `remount,size=${bytes}`, this.path);
  }

  async #inside(...command: readonly string[]): Promise<void> {
    const [program = '', ...words] = [...this.#leaf.under, ...command];
    await promisify(execFile)(program, words, { timeout: COMMAND_MS });
  }
}

/**
 * A disk that `scripts/lossy-disks` keeps: at a power cut all that was written and not synced is gone, by the kernel's
 * own doing. Whoever asks for the cut has ended what writes there.
 */
export class LossyDisk {
  readonly path: string;
  readonly #folder: string;
  readonly #number: number;

  private constructor(folder: string, number: number) {
    this.#folder = folder;
    this.#number = number;
    this.path = join(folder, `disk${number}`);
  }

  /** Number 1, 2 or 3; undefined where nobody keeps such disks, as that takes root. */
  static at(number: number, env: NodeJS.ProcessEnv): LossyDisk | undefined {
    const folder = env.PODMESH_LOSSY_DISKS;
    return folder ? new LossyDisk(folder, number) : undefined;
  }

  async cutPower(): Promise<void> {
    const requests = await open(join(this.#folder, 'requests'), 'r+');
    const answers = await open(join(this.#folder, `answers${this.#number}`), 'r+');
    try {
      await requests.write(`${this.#number}\n`);
      const bytes = Buffer.alloc(200);
      const read = answers.read(bytes, 0, bytes.length);
      const { bytesRead } = await within(ANSWER_MS, () => 'the power cut', read);
      const answer = bytes.subarray(0, bytesRead).toString('utf8').trim();
      if (answer !== `cut ${this.#number}`) throw new Error(`no power cut: ${answer}`);
    } finally {
      await requests.close();
      await answers.close();
    }
  }
}
