import type {
  BulkAddress,
  Capacity,
  Clock,
  ContainerRuntime,
  KeepOffering,
  LimitsEnforced,
  RuntimeDescription,
  Standing,
} from '@podmesh/core';
import type { PeerFacts } from '../peer-parts.ts';
import type { MachineFacts } from './hardware.ts';

/** Runtime and images are looked at this often. */
const REFRESH_MS = 5_000;
/** Images told to the mesh; a machine may hold thousands. */
const IMAGES_TOLD_MAX = 200;

const NO_LIMITS: LimitsEnforced = { memory: 'none', cpus: 'none', pids: 'none', disk: 'none' };

export interface PeerFactsParts {
  readonly facts: MachineFacts;
  readonly runtime: ContainerRuntime;
  readonly clock: Clock;
  readonly capacity: Capacity;
  readonly labels: readonly string[];
  readonly version: string;
  /** Where its artifacts can be fetched directly; read again for every heartbeat. */
  readonly bulk?: () => BulkAddress | undefined;
  /** What it would keep for others; read again for every heartbeat. */
  readonly keeps?: () => KeepOffering | undefined;
  /** How steady the machine is; read again for every heartbeat. */
  readonly standing?: () => Standing | undefined;
  /** Called when something changed that decides over claiming. */
  readonly onChange: () => void;
}

/** Keeps what a peer tells of itself up to date; while it cannot run containers it says so. */
export class PeerFactsSource {
  readonly #parts: PeerFactsParts;
  readonly #stop = new AbortController();
  #loop: Promise<void> = Promise.resolve();
  #runtime: RuntimeDescription | undefined;
  #images: Readonly<Record<string, readonly string[]>> = {};
  #paused: string | undefined = 'starting';

  constructor(parts: PeerFactsParts) {
    this.#parts = parts;
  }

  async start(): Promise<void> {
    await this.#refresh();
    this.#loop = this.#keepRefreshing();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }

  current(): PeerFacts {
    const { facts, capacity, labels, version } = this.#parts;
    const bulk = this.#parts.bulk?.();
    const keeps = this.#parts.keeps?.();
    const standing = this.#parts.standing?.();
    return {
      version,
      machine: { ...facts.machine, podmanVersion: this.#runtime?.version ?? 'unknown' },
      hardware: facts.hardware,
      labels,
      capacity,
      images: this.#images,
      limits: this.#runtime?.limits ?? NO_LIMITS,
      runtimes: this.#runtime?.runtimes ?? [],
      ...(bulk === undefined ? {} : { bulk }),
      ...(keeps === undefined ? {} : { keeps }),
      ...(standing === undefined ? {} : { standing }),
      ...(this.#paused === undefined ? {} : { paused: this.#paused }),
    };
  }

  async #keepRefreshing(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await this.#parts.clock.sleep(REFRESH_MS, this.#stop.signal);
      if (!this.#stop.signal.aborted) await this.#refresh();
    }
  }

  async #refresh(): Promise<void> {
    const before = this.#paused;
    try {
      this.#runtime = await this.#parts.runtime.describe();
      this.#images = tell(await this.#parts.runtime.images());
      this.#paused = undefined;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#paused = `cannot run containers: ${reason}`;
    }
    if (this.#paused !== before) this.#parts.onChange();
  }
}

function tell(images: ReadonlyMap<string, readonly string[]>): Record<string, readonly string[]> {
  const named = [...images].filter(([, references]) => references.length > 0);
  return Object.fromEntries(named.slice(0, IMAGES_TOLD_MAX));
}
