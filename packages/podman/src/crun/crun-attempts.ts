import { mkdirSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ContainerSpec, PeerId } from '@podmesh/core';
import { attemptCgroup, removeCgroup, removeStaleCgroups } from '../container-cgroup.ts';
import { outputFds } from '../fd-launcher.ts';
import { type AttemptFacts, AttemptFiles, readFacts } from './attempt-files.ts';
import { type CgroupHome, makeCgroup, readCgroup } from './cgroup-home.ts';
import { containerId } from './chain.ts';
import { CrunContainer } from './crun-container.ts';
import type { CrunLane } from './crun-lane.ts';
import { ATTEMPTS_MAX } from './crun-limits.ts';
import { fillRecipe, type Recipe } from './recipe.ts';
import type { Scratch } from './scratch-stock.ts';

const LANE = 'podmesh-crun';

/** What an attempt of this daemon's own was made of. */
interface Made {
  readonly recipe: Recipe;
  readonly scratch: Scratch;
}

/** Of a lane, what the attempts in it need. */
export type AttemptsLane = Pick<
  CrunLane,
  'kitchen' | 'places' | 'fifos' | 'scratch' | 'sweeper' | 'book' | 'cgroupHome'
>;

/** The attempts in one lane: each is made, or found, held by this daemon, and at last taken away. */
export class CrunAttempts {
  readonly #lane: AttemptsLane;
  /** Containers that this daemon holds, by directory: two readers would each get half of a log. */
  readonly #held = new Map<string, CrunContainer>();
  /** Directories that are being made, and are nobody's left-over. */
  readonly #making = new Set<string>();
  /** Cgroups of containers that were not removed yet, by directory: not stale, though maybe empty. */
  readonly #cgroups = new Map<string, string>();

  constructor(lane: AttemptsLane) {
    this.#lane = lane;
  }

  filesOf({ labels: { peer, claim } }: ContainerSpec): AttemptFiles {
    return new AttemptFiles(join(this.#lane.places.attemptsOf(peer), claim));
  }

  /**
   * Everything that a chain needs. Throws `EEXIST` when the attempt has its directory already: that, and all that
   * belongs to it, stays as it is whatever goes wrong here.
   */
  async make(
    files: AttemptFiles,
    recipe: Recipe,
    spec: ContainerSpec,
    home: CgroupHome | undefined,
  ): Promise<CrunContainer> {
    const isFirst = !this.#making.has(files.directory);
    this.#making.add(files.directory);
    try {
      return await this.#make(files, recipe, spec, home);
    } finally {
      // The mark is that of the first: who comes second finds its directory there.
      if (isFirst) this.#making.delete(files.directory);
    }
  }

  /** What an earlier daemon left, and what this one holds. */
  async leftovers(peer: PeerId): Promise<readonly CrunContainer[]> {
    const directory = this.#lane.places.attemptsOf(peer);
    const names = await readdir(directory).catch(() => []);
    const found: CrunContainer[] = [];
    for (const name of names.slice(0, ATTEMPTS_MAX)) {
      const container = await this.#find(join(directory, name), peer);
      if (container !== undefined) found.push(container);
    }
    const home = await this.#lane.cgroupHome();
    // Asked at each one, as others are made meanwhile.
    const kept = { has: (cgroup: string) => [...this.#cgroups.values()].includes(cgroup) };
    if (home !== undefined) await removeStaleCgroups(home.base, peer, kept, LANE);
    return found;
  }

  /** They run on. */
  letGo(): void {
    for (const container of this.#held.values()) container.letGo();
  }

  async #make(
    files: AttemptFiles,
    recipe: Recipe,
    spec: ContainerSpec,
    home: CgroupHome | undefined,
  ): Promise<CrunContainer> {
    const { kitchen, places, scratch, fifos } = this.#lane;
    const { peer, claim } = spec.labels;
    mkdirSync(places.attemptsOf(peer), { recursive: true, mode: 0o700 });
    const cgroup = home && attemptCgroup(home.base, peer, claim, LANE);
    const own = cgroup === undefined ? {} : { cgroup };
    const taken = await scratch.take(recipe);
    const limits = home?.limits ?? false;
    const place = { files: taken.files.directory, root: kitchen.merged, limits, ...own };
    try {
      files.make(fillRecipe(recipe, spec, place), taken);
    } catch (error) {
      await scratch.giveBack(taken, recipe);
      throw error;
    }
    try {
      // Only now: with the directory there, no other try of the same attempt can have them.
      if (home !== undefined && cgroup !== undefined) this.#makeCgroup(files, home, cgroup);
      files.makeOutputs(outputFds(spec.outputs));
      files.takeFifos(await fifos.take(files.fifos.length));
    } catch (error) {
      await this.#discard(files);
      throw error;
    }
    const { image, layers } = recipe;
    const facts = { labels: spec.labels, image, layers, ...own };
    return this.#hold(files, facts, { recipe, scratch: taken });
  }

  #makeCgroup({ directory }: AttemptFiles, home: CgroupHome, cgroup: string): void {
    this.#cgroups.set(directory, cgroup);
    makeCgroup(home, cgroup);
  }

  #hold(files: AttemptFiles, facts: AttemptFacts, made?: Made): CrunContainer {
    const { labels, layers, image, cgroup } = facts;
    let rest = made;
    const container = new CrunContainer(this.#lane.kitchen, {
      id: containerId(labels.claim),
      files,
      labels,
      layers,
      isFound: made === undefined,
      usage: () => (cgroup === undefined ? undefined : readCgroup(cgroup)),
      ...(cgroup === undefined ? {} : { cgroup }),
      discard: async (isOver) => {
        // Once: a layer that was given back is somebody else's when the rest has to be tried again.
        const own = isOver ? rest : undefined;
        rest = undefined;
        await this.#discard(files, own);
        // Of a container that an earlier daemon started, this one's book knows nothing.
        if (made !== undefined) this.#lane.book.done(image);
      },
    });
    this.#held.set(files.directory, container);
    return container;
  }

  /** What it had on the disk is for the next one, when it is known to be as it was made. */
  async #discard(files: AttemptFiles, made?: Made): Promise<void> {
    const { scratch, sweeper } = this.#lane;
    const onDisk = files.places();
    files.remove();
    if (made !== undefined) await scratch.giveBack(made.scratch, made.recipe);
    else for (const place of onDisk) await sweeper.discard(place);
    this.#held.delete(files.directory);
    const cgroup = this.#cgroups.get(files.directory);
    if (cgroup === undefined) return;
    removeCgroup(cgroup);
    this.#cgroups.delete(files.directory);
  }

  /** What was half made when a daemon died never ran, and is nobody's. */
  async #find(directory: string, peer: PeerId): Promise<CrunContainer | undefined> {
    const held = this.#held.get(directory);
    if (held !== undefined || this.#making.has(directory)) return held;
    const files = new AttemptFiles(directory);
    const facts = files.isWhole() ? await readFacts(files, peer) : undefined;
    if (facts !== undefined) {
      files.openUp();
      if (facts.cgroup !== undefined) this.#cgroups.set(directory, facts.cgroup);
      return this.#hold(files, facts);
    }
    await this.#discard(files);
    return undefined;
  }
}
