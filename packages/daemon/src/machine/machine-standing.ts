import { statfs } from 'node:fs/promises';
import type { Clock, Standing } from '@podmesh/core';
import { findNatsServer } from '@podmesh/jetstream';
import { machineUptime } from '../test-hooks.ts';

/** Room on a disk is looked at this often. */
const LOOK_MS = 10_000;

/** What a peer tells of how steady its machine is. */
export class MachineStanding {
  readonly #home: string;
  readonly #env: NodeJS.ProcessEnv;
  readonly #clock: Clock;
  readonly #stop = new AbortController();
  #loop: Promise<void> = Promise.resolve();
  #freeDiskBytes = 0;
  #serverVersion: string | undefined;

  constructor(home: string, env: NodeJS.ProcessEnv, clock: Clock) {
    this.#home = home;
    this.#env = env;
    this.#clock = clock;
  }

  async start(): Promise<void> {
    await this.#look();
    this.#serverVersion = await findNatsServer(this.#env).then(
      ({ version }) => version,
      () => undefined,
    );
    this.#loop = this.#keepLooking();
  }

  /** Harmless when never started, or called twice. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }

  current(): Standing {
    return {
      uptimeSeconds: machineUptime(this.#env),
      freeDiskBytes: this.#freeDiskBytes,
      ...(this.#serverVersion === undefined ? {} : { serverVersion: this.#serverVersion }),
      clockMs: Date.now(),
    };
  }

  async #keepLooking(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await this.#clock.sleep(LOOK_MS, signal);
      if (!signal.aborted) await this.#look();
    }
  }

  async #look(): Promise<void> {
    const disk = await statfs(this.#home).catch(() => undefined);
    if (disk !== undefined) this.#freeDiskBytes = disk.bavail * disk.bsize;
  }
}
