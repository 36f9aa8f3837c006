import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ArtifactId, KeepOrder, KeepRelease, PinReason, RunId, TaskId } from '@podmesh/core';
import type { ArtifactPins } from './artifact-pins.ts';
import { namingFullDisk } from './disk-full-error.ts';
import { allOf, encodeHeld, type HeldPart, isInsteadOf, parseHeld } from './held-file.ts';
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
  /** Of what a failed attempt left, not of its log: it is let go here when what a later one left is held. */
  readonly attempt?: number;
}

interface Held {
  readonly run: RunId;
  readonly task: TaskId;
  readonly apart?: true;
  readonly reason: PinReason;
  /** Of no output that is known to be all here: on its way into one, or beside them. */
  readonly loose: Set<ArtifactId>;
  parts: readonly HeldPart[];
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
      for (const artifact of read.loose) held.loose.add(artifact);
      held.parts = read.parts;
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

  /** What attempts left and is whole, as orders to keep it elsewhere. A directory is what has anything below it. */
  get leftApart(): readonly KeepOrder[] {
    const { index } = this.#parts;
    const bytesOf = (artifact: ArtifactId): number => index.whole(artifact)?.bytes ?? 0;
    return [...this.#held.values()].flatMap(({ run, task, apart, parts }) => {
      if (apart !== true) return [];
      const whole = parts.filter(({ artifacts }) => this.#isWhole(artifacts));
      return whole.map(({ output: digest, artifacts, attempt }) => {
        const kind = artifacts.size > 1 ? ('dir' as const) : ('file' as const);
        const bytes = [...artifacts].reduce((sum, artifact) => sum + bytesOf(artifact), 0);
        const of = attempt === undefined ? {} : { attempt };
        return { run, task, apart, ...of, outputs: [{ digest, kind, bytes }] };
      });
    });
  }

  /** Pins at once what `hold` is going to write down together with others. */
  pin(success: Success, artifact: ArtifactId): void {
    const held = this.#of(success);
    held.loose.add(artifact);
    this.#parts.pins.pin(artifact, held.reason);
  }

  /**
   * Pins what is on its way here until the function is called that this returns. Nothing else is changed, and a restart
   * forgets it; the set must not change.
   */
  pinComing({ run, task, apart }: Success, artifacts: ReadonlySet<ArtifactId>): () => void {
    const { pins } = this.#parts;
    // Two of them may be alike.
    const coming = new Set(artifacts);
    pins.pinSet(coming, reasonOf({ run, task, ...(apart === true ? { apart } : {}) }));
    return () => pins.unpinSet(coming);
  }

  /**
   * Pins at once, and resolves when that would survive a restart. `outputs`: those of which all is held with this: the
   * artifacts are what they consist of. Throws `DiskFullError`; pinned it is all the same.
   */
  async hold(
    success: Success,
    artifacts: Iterable<ArtifactId>,
    outputs: readonly ArtifactId[] = [],
  ): Promise<void> {
    const held = this.#of(success);
    const all = new Set([...artifacts, ...outputs]);
    for (const artifact of all)
      if (outputs.length === 0) held.loose.add(artifact);
      else held.loose.delete(artifact);
    this.#add(held, partsOf(success, new Map(outputs.map((output) => [output, all]))));
    await this.#turns.run(nameOf(held), () => this.#write(held));
  }

  /**
   * The same of copies: each output with all that it consists of. When it throws, nothing is held that was not before,
   * and all that was.
   */
  async holdCopies(
    order: Success,
    copies: ReadonlyMap<ArtifactId, ReadonlySet<ArtifactId>>,
  ): Promise<void> {
    const held = this.#of(order);
    const parts = partsOf(order, copies);
    const gone = this.#add(held, parts);
    try {
      await this.#turns.run(nameOf(held), () => this.#write(held));
    } catch (error) {
      if (this.#held.get(nameOf(held)) === held) this.#takeBack(held, parts, gone);
      throw error;
    }
  }

  /** Whether all of these outputs are held, and whole at this moment; whatever else is held of that success. */
  hasAll(success: Success, outputs: readonly ArtifactId[]): boolean {
    const parts = this.#held.get(nameOf(success))?.parts ?? [];
    return outputs.every((output) =>
      parts.some((part) => part.output === output && this.#isWhole(part.artifacts)),
    );
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
    for (const artifact of allOf(held)) {
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
    const owner = { run, task, ...(apart === true ? { apart } : {}) };
    const held = this.#held.get(nameOf(owner)) ?? {
      ...owner,
      reason: reasonOf(owner),
      loose: new Set(),
      parts: [],
      pinned: undefined,
    };
    this.#held.set(nameOf(held), held);
    return held;
  }

  /** What it takes the place of: the same before, and what earlier attempts left. */
  #add(held: Held, added: readonly HeldPart[]): readonly HeldPart[] {
    const gone = held.parts.filter((part) => added.some((one) => isInsteadOf(one, part)));
    held.parts = [...held.parts.filter((part) => !gone.includes(part)), ...added];
    this.#pin(held, gone);
    return gone;
  }

  #takeBack(held: Held, added: readonly HeldPart[], gone: readonly HeldPart[]): void {
    held.parts = [...gone, ...held.parts.filter((part) => !added.includes(part))];
    this.#pin(held, added);
    if (held.parts.length === 0 && held.loose.size === 0) this.#held.delete(nameOf(held));
  }

  #isWhole(artifacts: ReadonlySet<ArtifactId>): boolean {
    for (const artifact of artifacts)
      if (this.#parts.index.whole(artifact) === undefined) return false;
    return true;
  }

  /** All that is held; `gone`: what was until now. */
  #pin(held: Held, gone: readonly HeldPart[] = []): void {
    const { pins } = this.#parts;
    if (held.pinned !== undefined) pins.unpinSet(held.pinned);
    held.pinned = undefined;
    const all = allOf(held);
    if (all.size > PINNED_ONE_BY_ONE_MAX) {
      held.pinned = all;
      pins.pinSet(all, held.reason);
    } else for (const artifact of all) pins.pin(artifact, held.reason);
    for (const { artifacts } of gone)
      for (const artifact of artifacts) if (!all.has(artifact)) pins.unpin(artifact, held.reason);
  }

  #unpin(held: Held): void {
    const { pins } = this.#parts;
    if (held.pinned !== undefined) pins.unpinSet(held.pinned);
    // Some may have been pinned one by one before they became many.
    for (const artifact of allOf(held)) pins.unpin(artifact, held.reason);
  }

  async #write(held: Held): Promise<void> {
    // Let go while it waited for its turn.
    if (this.#held.get(nameOf(held)) !== held) return;
    const path = join(this.#parts.folder, nameOf(held));
    const text = encodeHeld(held);
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

const reasonOf = (owner: Pick<Held, 'run' | 'task' | 'apart'>): PinReason => ({
  kind: 'unreplicated',
  ...owner,
});

function partsOf(
  { attempt }: Success,
  outputs: ReadonlyMap<ArtifactId, ReadonlySet<ArtifactId>>,
): readonly HeldPart[] {
  const of = attempt === undefined ? {} : { attempt };
  return [...outputs].map(([output, artifacts]) => ({ output, artifacts, ...of }));
}
