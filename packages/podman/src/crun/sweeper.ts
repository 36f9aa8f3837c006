import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { SWEEP_MS_MAX, SWEEP_PAUSE_MS, SWEEP_STOP_MS_MAX } from './crun-limits.ts';
import type { UserNamespace } from './user-namespace.ts';

/**
 * Deletes directories of removed containers, many at a time and behind their backs. Inside the
 * namespace, because their files may belong to subordinate ids and deny everything to everybody.
 */
export class Sweeper {
  readonly #namespace: UserNamespace;
  readonly #directory: string;
  readonly #stopping = new AbortController();
  #sweeping: Promise<void> | undefined;
  #isDirty = false;

  constructor(namespace: UserNamespace, directory: string) {
    this.#namespace = namespace;
    this.#directory = directory;
  }

  async start(): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    this.#poke();
  }

  /** It is gone from its place at once, and from the disk soon. Harmless when it is gone already. */
  async discard(directory: string): Promise<void> {
    try {
      await rename(directory, join(this.#directory, randomBytes(8).toString('hex')));
    } catch (error) {
      if (!isAbsence(error)) throw error;
    }
    this.#poke();
  }

  /** Deletes what is left to delete; what takes long is left to the next start. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    const rest = Promise.resolve(this.#sweeping).then(() => this.#sweep());
    await Promise.race([rest, pause(SWEEP_STOP_MS_MAX, undefined, { ref: false })]);
  }

  #poke(): void {
    this.#isDirty = true;
    this.#sweeping ??= this.#loop().finally(() => {
      this.#sweeping = undefined;
    });
  }

  async #loop(): Promise<void> {
    while (this.#isDirty && !this.#stopping.signal.aborted) {
      const { signal } = this.#stopping;
      await pause(SWEEP_PAUSE_MS, undefined, { signal, ref: false }).catch(() => undefined);
      this.#isDirty = false;
      await this.#sweep();
    }
  }

  /** What cannot be deleted now is tried again after the next container, and at the next start. */
  async #sweep(): Promise<void> {
    const names = await readdir(this.#directory).catch(() => []);
    if (names.length === 0) return;
    // Not `*`: of very many, the names alone are too long for one command.
    const script = 'cd "$1" && exec find . -mindepth 1 -maxdepth 1 -exec rm -rf -- {} +';
    const words = ['sh', '-c', script, 'podmesh-sweep', this.#directory];
    await this.#namespace.run(words, SWEEP_MS_MAX).catch(() => undefined);
  }
}

function isAbsence(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
