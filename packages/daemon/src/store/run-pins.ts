import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type ArtifactId,
  isDigest,
  type KeepRelease,
  type PinReason,
  type RunId,
  runId,
  type TaskId,
  taskId,
} from '@podmesh/core';
import type { ArtifactPins } from './artifact-pins.ts';
import { namingFullDisk } from './disk-full-error.ts';
import type { StoreIndex } from './store-index.ts';
import { TurnTaking } from './turn-taking.ts';

/** More than this are pinned as a set: a directory may have a million files. */
const PINNED_ONE_BY_ONE_MAX = 64;

/** A success whose outputs are on this disk. */
export interface Success {
  readonly run: RunId;
  readonly task: TaskId;
  /** What attempts left beside that, such as logs: no driver lets it go, only the end of the run does. */
  readonly apart?: true;
}

interface Held extends Success {
  readonly reason: PinReason;
  readonly artifacts: Set<ArtifactId>;
  /** Outputs of which everything is among the artifacts; a directory by its listing. */
  readonly outputs: Set<ArtifactId>;
  pinned: ReadonlySet<ArtifactId> | undefined;
}

export interface RunPinsParts {
  /** Of this store alone; survives restarts. */
  readonly folder: string;
  readonly pins: ArtifactPins;
  readonly index: Pick<StoreIndex, 'whole' | 'setRank'>;
}

/**
 * Outputs of runs that must not be evicted here, because this is the only copy, or one that a driver counts on: from
 * the moment at which they are whole until the driver, or the end of their run, lets them go. They are written down,
 * so that a restart does not make them fair game.
 */
export class RunPins {
  readonly #parts: RunPinsParts;
  readonly #held = new Map<string, Held>();
  readonly #turns = new TurnTaking<string>();

  constructor(parts: RunPinsParts) {
    this.#parts = parts;
  }

  /** Pins again what an earlier session held. A file that cannot be read was torn by a crash, and held nothing yet. */
  async load(): Promise<void> {
    await mkdir(this.#parts.folder, { recursive: true, mode: 0o700 });
    for (const name of await readdir(this.#parts.folder)) {
      const path = join(this.#parts.folder, name);
      const read = name.endsWith('.json') ? parseHeld(await readFile(path, 'utf8')) : undefined;
      if (read === undefined || nameOf(read) !== name) {
        await rm(path, { force: true });
        continue;
      }
      const held = this.#of(read);
      for (const artifact of read.artifacts) held.artifacts.add(artifact);
      for (const output of read.outputs) held.outputs.add(output);
      this.#pin(held);
    }
  }

  /** Runs of which anything is held. */
  get runs(): ReadonlySet<RunId> {
    return new Set([...this.#held.values()].map(({ run }) => run));
  }

  /** All of which anything is held but what attempts left: that is on another disk already, or found none. */
  get successes(): readonly Success[] {
    const held = [...this.#held.values()].filter(({ apart }) => apart !== true);
    return held.map(({ run, task }) => ({ run, task }));
  }

  isHolding(success: Success): boolean {
    return this.#held.has(nameOf(success));
  }

  /** Pins at once what `hold` is going to write down together with others. */
  pin(success: Success, artifact: ArtifactId): void {
    const held = this.#of(success);
    held.artifacts.add(artifact);
    if (held.pinned === undefined) this.#parts.pins.pin(artifact, held.reason);
    else this.#pin(held);
  }

  /**
   * Pins at once, and resolves when that would survive a restart. `outputs`: those of which all is held with this.
   * Throws `DiskFullError`; pinned it is all the same.
   */
  async hold(
    success: Success,
    artifacts: Iterable<ArtifactId>,
    outputs: readonly ArtifactId[] = [],
  ): Promise<void> {
    const held = this.#of(success);
    for (const artifact of artifacts) held.artifacts.add(artifact);
    for (const output of outputs) held.outputs.add(output);
    this.#pin(held);
    await this.#turns.run(nameOf(success), () => this.#write(held));
  }

  /** Whether all of these outputs are held, and whole at this moment. */
  hasAll(success: Success, outputs: readonly ArtifactId[]): boolean {
    const held = this.#held.get(nameOf(success));
    if (held === undefined || !outputs.every((output) => held.outputs.has(output))) return false;
    for (const artifact of held.artifacts) {
      if (this.#parts.index.whole(artifact) === undefined) return false;
    }
    return true;
  }

  /** `kept`: they may go when room is needed, last of all. `spent`: first. Harmless for what is not held. */
  async release({ run, tasks, as }: KeepRelease): Promise<void> {
    for (const task of tasks) await this.letGo({ run, task }, as);
  }

  /** The same for one. */
  async letGo(success: Success, as: KeepRelease['as']): Promise<void> {
    const held = this.#held.get(nameOf(success));
    if (held === undefined) return;
    this.#held.delete(nameOf(held));
    this.#unpin(held);
    const rank = as === 'kept' ? 'kept' : 'done';
    for (const artifact of held.artifacts) {
      // The same bytes may be another task's, which still counts on them.
      const isAnothers = this.#parts.pins.reasonsOf(artifact).some(isUnreplicated);
      if (!isAnothers) this.#parts.index.setRank(artifact, rank);
    }
    await this.#turns.run(nameOf(held), () => this.#forget(held));
  }

  /** The run is over: whatever of it is still held was not let go by a driver. */
  async releaseRun(run: RunId): Promise<void> {
    const tasks = [...this.#held.values()].filter((held) => held.run === run);
    for (const held of tasks) await this.letGo(held, 'kept');
  }

  #of({ run, task, apart }: Success): Held {
    const name = nameOf({ run, task, ...(apart === true ? { apart } : {}) });
    const held = this.#held.get(name) ?? {
      run,
      task,
      ...(apart === true ? { apart } : {}),
      reason: { kind: 'unreplicated', run, task },
      artifacts: new Set(),
      outputs: new Set(),
      pinned: undefined,
    };
    this.#held.set(name, held);
    return held;
  }

  #pin(held: Held): void {
    const { pins } = this.#parts;
    if (held.pinned !== undefined) pins.unpinSet(held.pinned);
    held.pinned = undefined;
    if (held.artifacts.size > PINNED_ONE_BY_ONE_MAX) {
      held.pinned = new Set(held.artifacts);
      pins.pinSet(held.pinned, held.reason);
    } else for (const artifact of held.artifacts) pins.pin(artifact, held.reason);
  }

  #unpin(held: Held): void {
    const { pins } = this.#parts;
    if (held.pinned !== undefined) pins.unpinSet(held.pinned);
    // Some may have been pinned one by one before they became many.
    for (const artifact of held.artifacts) pins.unpin(artifact, held.reason);
  }

  async #write(held: Held): Promise<void> {
    // Let go while it waited for its turn.
    if (this.#held.get(nameOf(held)) !== held) return;
    const { run, task, apart } = held;
    const [artifacts, outputs] = [[...held.artifacts], [...held.outputs]];
    const path = join(this.#parts.folder, nameOf(held));
    const text = `${JSON.stringify({ run, task, apart, artifacts, outputs })}\n`;
    const full = { path: this.#parts.folder, neededBytes: text.length };
    await namingFullDisk(full, async () => {
      const temporary = `${path}.new`;
      try {
        const file = await open(temporary, 'w', 0o600);
        try {
          await file.writeFile(text);
          await file.sync();
        } finally {
          await file.close();
        }
        await rename(temporary, path);
      } catch (error) {
        await rm(temporary, { force: true });
        throw error;
      }
    });
  }

  /** Held anew while this waited: then the file is the new one's. */
  async #forget(held: Held): Promise<void> {
    if (this.#held.has(nameOf(held))) return;
    await rm(join(this.#parts.folder, nameOf(held)), { force: true });
  }
}

/** Neither id can lead out of the folder, and none has a dot. */
const nameOf = ({ run, task, apart }: Success): string =>
  `${run}.${task}${apart === true ? '.apart' : ''}.json`;

const isUnreplicated = ({ kind }: PinReason): boolean => kind === 'unreplicated';

function parseHeld(
  text: string,
): (Success & { readonly artifacts: ArtifactId[]; readonly outputs: ArtifactId[] }) | undefined {
  try {
    const { run, task, apart, artifacts, outputs }: Record<string, unknown> = Object(
      JSON.parse(text),
    );
    const digests = (list: unknown): ArtifactId[] => {
      if (Array.isArray(list) && list.every((id) => typeof id === 'string' && isDigest(id)))
        return list;
      throw new Error('no list of digests');
    };
    const success = { run: runId(String(run)), task: taskId(String(task)) };
    const which = apart === true ? { apart: true as const } : {};
    return { ...success, ...which, artifacts: digests(artifacts), outputs: digests(outputs) };
  } catch {
    return undefined;
  }
}
