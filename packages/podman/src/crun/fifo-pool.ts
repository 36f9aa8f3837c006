import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { renameSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { CrunFailedError } from './crun-errors.ts';
import { COMMAND_MS_MAX, FIFO_BATCH, FIFO_LOW } from './crun-limits.ts';

const execute = promisify(execFile);

/** FIFOs in stock: Node cannot make them, and a process for each container would cost more than the container. */
export class FifoPool {
  readonly #directory: string;
  readonly #busybox: string;
  readonly #stock: string[] = [];
  #filling: Promise<void> | undefined;

  constructor(directory: string, busybox: string) {
    this.#directory = directory;
    this.#busybox = busybox;
  }

  /** What an earlier daemon had in stock goes. */
  async start(): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true });
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    await this.#fill();
  }

  /** Puts one to each path. */
  async take(paths: readonly string[]): Promise<void> {
    // Checked and taken in one turn: others wait for the same stock.
    while (this.#stock.length < paths.length) await this.#fill();
    for (const path of paths) {
      const fifo = this.#stock.pop();
      if (fifo !== undefined) renameSync(fifo, path);
    }
    if (this.#stock.length < FIFO_LOW) this.#fill().catch(() => undefined);
  }

  #fill(): Promise<void> {
    this.#filling ??= this.#make().finally(() => {
      this.#filling = undefined;
    });
    return this.#filling;
  }

  async #make(): Promise<void> {
    const batch = randomBytes(6).toString('hex');
    const paths = Array.from({ length: FIFO_BATCH }, (_, i) =>
      join(this.#directory, `${batch}-${i}`),
    );
    try {
      // Any user inside may open /dev/stdout again; outside, the directories above keep others away.
      const args = ['mkfifo', '-m', '666', ...paths];
      await execute(this.#busybox, args, { timeout: COMMAND_MS_MAX });
    } catch (error) {
      throw new CrunFailedError('make FIFOs', String(error), error);
    }
    this.#stock.push(...paths);
  }
}
