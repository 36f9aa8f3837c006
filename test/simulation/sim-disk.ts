import {
  type ArtifactFinder,
  type ArtifactId,
  ArtifactMissingError,
  type ArtifactRef,
  type ArtifactStore,
  type Holding,
  type KeepOrder,
  type PeerId,
  type RunId,
  runId,
  SMALL_ARTIFACT_BYTES_MAX,
  type TaskId,
  taskId,
} from '@podmesh/core';
import { readTree } from '@podmesh/jetstream';
import type { SimMachine, SimProcess } from '@podmesh/testkit';

/** Every other artifact is called large, by its digest; then its length is told with this added. */
const CALLED_LARGER_BYTES = 2 * SMALL_ARTIFACT_BYTES_MAX;

export interface SimDiskParts {
  readonly process: SimProcess;
  readonly machine: SimMachine;
  readonly objects: ArtifactStore;
  readonly finder: ArtifactFinder;
  /** Machines by the names of their peers. */
  readonly machineOf: (peer: PeerId) => SimMachine | undefined;
}

/** Large artifacts on the disk of one simulated machine: what survives its daemon, and goes with the disk. */
export class SimDisk {
  readonly #parts: SimDiskParts;

  constructor(parts: SimDiskParts) {
    this.#parts = parts;
  }

  static isLarge(digest: ArtifactId): boolean {
    return Number.parseInt(digest.at(-1) ?? '0', 16) % 2 === 0;
  }

  /** How the artifact is called to everybody else. */
  static called(ref: ArtifactRef): ArtifactRef {
    return { ...ref, bytes: ref.bytes + CALLED_LARGER_BYTES };
  }

  static wipe({ disk }: SimMachine): void {
    for (const name of [...disk.keys()]) {
      if (name.startsWith('artifact ') || name.startsWith('held ')) disk.delete(name);
    }
  }

  /** Whether all of a success's outputs are on the machine's disk. */
  static holds({ disk }: SimMachine, run: RunId, task: TaskId): boolean {
    const held = disk.get(`held ${run} ${task}`) as readonly ArtifactId[] | undefined;
    return held?.every((artifact) => disk.has(`artifact ${artifact}`)) === true;
  }

  /** Successes of which anything is held here, as the real store pins them. */
  get successes(): readonly { readonly run: RunId; readonly task: TaskId }[] {
    return [...this.#parts.machine.disk.keys()].flatMap((name) => {
      const [kind, run, task] = name.split(' ');
      if (kind !== 'held' || run === undefined || task === undefined) return [];
      return [{ run: runId(run), task: taskId(task) }];
    });
  }

  /** The object store of the simulation always has room. */
  readonly leftApart = [];

  /** What a daemon that is dead writes reaches no disk. */
  write(digest: ArtifactId, bytes: Uint8Array): void {
    if (this.#parts.process.alive) this.#parts.machine.disk.set(`artifact ${digest}`, bytes);
  }

  answer(artifacts: readonly ArtifactId[]): readonly Omit<Holding, 'peer'>[] {
    return artifacts.flatMap((artifact) => {
      const bytes = this.#read(this.#parts.machine, artifact)?.length;
      if (bytes === undefined) return [];
      return [{ artifact, bytes: bytes + CALLED_LARGER_BYTES, whole: true }];
    });
  }

  /** From another disk unless it is here. */
  async fetch(artifact: ArtifactId): Promise<void> {
    if (this.#read(this.#parts.machine, artifact) !== undefined) return;
    this.write(artifact, await this.#ask(artifact));
  }

  /** What every peer can reach, as its driver reads it: of this disk, or another one. */
  reachable(stored: ArtifactStore): ArtifactStore {
    const { objects, machine } = this.#parts;
    const bytesOf = async (artifact: ArtifactId) =>
      this.#read(machine, artifact) ?? (await this.#ask(artifact));
    return {
      stat: (artifacts) => stored.stat(artifacts),
      put: (artifact, bytes) => stored.put(artifact, bytes),
      async *get(artifact) {
        const isStored = (await objects.stat([artifact])).size > 0;
        if (isStored) yield* objects.get(artifact);
        else yield await bytesOf(artifact);
      },
    };
  }

  async #ask(artifact: ArtifactId): Promise<Uint8Array> {
    const { process, finder, machineOf } = this.#parts;
    const { found } = await finder.whoHas([artifact], 'first', new AbortController().signal);
    for (const { peer } of found.get(artifact) ?? []) {
      const bytes = await process.call(`disk.fetch ${artifact}`, () => {
        const other = machineOf(peer);
        return other?.process === undefined ? undefined : this.#read(other, artifact);
      });
      if (bytes !== undefined) return bytes;
    }
    throw new ArtifactMissingError(artifact);
  }

  has({ run, task, outputs }: KeepOrder): boolean {
    const { disk } = this.#parts.machine;
    const held = (disk.get(`held ${run} ${task}`) ?? []) as readonly ArtifactId[];
    const isHeld = outputs.every(({ digest, kind }) => kind === 'dir' || held.includes(digest));
    return isHeld && SimDisk.holds(this.#parts.machine, run, task);
  }

  async bring({ run, task, outputs }: KeepOrder): Promise<void> {
    const large: ArtifactId[] = [];
    for (const output of outputs) large.push(...(await this.#largeIn(output)));
    for (const artifact of large) await this.fetch(artifact);
    this.hold(run, task, large);
  }

  /** Remembers what belongs to a success, besides what did before. */
  hold(run: RunId, task: TaskId, artifacts: readonly ArtifactId[]): void {
    if (!this.#parts.process.alive) return;
    const { disk } = this.#parts.machine;
    const before = (disk.get(`held ${run} ${task}`) ?? []) as readonly ArtifactId[];
    disk.set(`held ${run} ${task}`, [...new Set([...before, ...artifacts])]);
  }

  async #largeIn({ kind, digest, bytes }: ArtifactRef): Promise<readonly ArtifactId[]> {
    if (kind === 'file') return bytes > SMALL_ARTIFACT_BYTES_MAX ? [digest] : [];
    const { entries } = await readTree(digest, this.#parts.objects);
    const large: ArtifactId[] = [];
    for (const entry of entries) {
      if (entry.kind === 'file') large.push(...(await this.#largeIn({ ...entry, kind: 'file' })));
      if (entry.kind === 'tree')
        large.push(...(await this.#largeIn({ ...entry, kind: 'dir', bytes: 0 })));
    }
    return large;
  }

  #read({ disk }: SimMachine, artifact: ArtifactId): Uint8Array | undefined {
    return disk.get(`artifact ${artifact}`) as Uint8Array | undefined;
  }
}
