import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { chmod, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { CrunFailedError } from './crun-errors.ts';
import {
  COMMAND_MS_MAX,
  FILES_BATCH,
  SCRATCH_BATCH,
  SCRATCH_LOW,
  STAMP_MS_MAX,
  STOCK_MAX,
} from './crun-limits.ts';
import type { LanePlaces } from './lane-places.ts';
import type { Recipe, RecipeFile } from './recipe.ts';
import { Stock } from './stock.ts';
import type { Sweeper } from './sweeper.ts';

const execute = promisify(execFile);

/** A directory, and when the kernel last saw each part of it change that a container may change. */
export interface Pristine {
  readonly directory: string;
  readonly parts: readonly string[];
  readonly stamps: readonly bigint[];
  /** What is in each part that is a file. */
  readonly contents: readonly Uint8Array[];
}

type ScratchNeeds = Pick<Recipe, 'rootMode' | 'files'>;

/** What one attempt took, to be given back. */
export interface Scratch {
  readonly layer: Pristine;
  readonly files: Pristine;
}

/**
 * The directories that a container gets on the disk: its scratch layer, and its own copies of the small
 * files that Podman makes for each. What a container left as it was, as most do with /etc/hosts, the
 * next one gets: names, rights and attributes are those of before when the kernel's own stamp of the last
 * change is, which nobody can set. Bytes of a file are compared, too: written through a mapping, they leave no
 * stamp on every file system. All else is deleted, and all of it where stamps are too coarse to tell.
 */
export class ScratchStock {
  readonly #places: Pick<LanePlaces, 'scratch' | 'files'>;
  readonly #busybox: string;
  readonly #sweeper: Sweeper;
  /** By the mode of the root directory. */
  readonly #layers = new Map<number, Stock<Pristine>>();
  /** By the content: recipes are taken again and again, and these stay the same. */
  readonly #files = new Map<string, Stock<Pristine>>();
  readonly #keys = new WeakMap<readonly RecipeFile[], string>();
  /** Whether a stamp tells every change. */
  #isTelling = false;
  #isStopped = false;

  constructor(places: Pick<LanePlaces, 'scratch' | 'files'>, busybox: string, sweeper: Sweeper) {
    this.#places = places;
    this.#busybox = busybox;
    this.#sweeper = sweeper;
  }

  /** Deletes what no attempt needs: `inUse` are those of containers that were found. */
  async start(inUse: ReadonlySet<string>): Promise<void> {
    for (const place of [this.#places.scratch, this.#places.files]) {
      for (const name of await readdir(place)) {
        if (!inUse.has(join(place, name))) await this.#sweeper.discard(join(place, name));
      }
    }
    this.#isTelling = await hasFineStamps(this.#places.scratch);
  }

  async take({ rootMode, files }: ScratchNeeds): Promise<Scratch> {
    if (this.#isStopped) throw new CrunFailedError('make a scratch layer', 'the lane was closed');
    const stocks = [this.#layersOf(rootMode), this.#filesOf(files)] as const;
    const taken = await Promise.allSettled(stocks.map((stock) => stock.take(1)));
    const [layer, copies] = taken.map((one) =>
      one.status === 'fulfilled' ? one.value[0] : undefined,
    );
    if (layer !== undefined && copies !== undefined) return { layer, files: copies };
    // Nobody has seen the one that there was.
    if (layer !== undefined) stocks[0].give(layer);
    if (copies !== undefined) stocks[1].give(copies);
    throw taken.find((one) => one.status === 'rejected')?.reason;
  }

  /** When nothing of the container lives any more. */
  async giveBack({ layer, files }: Scratch, recipe: ScratchNeeds): Promise<void> {
    await this.#settle(layer, this.#layersOf(recipe.rootMode));
    await this.#settle(files, this.#filesOf(recipe.files));
  }

  /** Nothing is made any more after it. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    const stocks = [...this.#layers.values(), ...this.#files.values()];
    await Promise.all(stocks.map((stock) => stock.stop()));
  }

  async #settle(item: Pristine, stock: Stock<Pristine>): Promise<void> {
    const isAsNew = this.#isTelling && stock.size < STOCK_MAX && isUnchanged(item);
    if (isAsNew) stock.give(item);
    else await this.#sweeper.discard(item.directory);
  }

  #layersOf(rootMode: number): Stock<Pristine> {
    const known = this.#layers.get(rootMode);
    const stock = known ?? new Stock(() => this.#makeLayers(rootMode), SCRATCH_LOW);
    this.#layers.set(rootMode, stock);
    return stock;
  }

  #filesOf(files: readonly RecipeFile[]): Stock<Pristine> {
    const key = this.#keys.get(files) ?? keyOf(files);
    this.#keys.set(files, key);
    const known = this.#files.get(key);
    const stock = known ?? new Stock(() => this.#makeFiles(files), 1);
    this.#files.set(key, stock);
    return stock;
  }

  async #makeLayers(rootMode: number): Promise<readonly Pristine[]> {
    const directories = this.#names(this.#places.scratch, SCRATCH_BATCH);
    const parts = directories.flatMap((directory) => [
      join(directory, 'upper'),
      join(directory, 'work'),
    ]);
    try {
      const args = ['mkdir', '-p', '-m', rootMode.toString(8), ...parts];
      await execute(this.#busybox, args, { timeout: COMMAND_MS_MAX });
    } catch (error) {
      for (const directory of directories) await this.#sweeper.discard(directory);
      throw asFailure(error, 'make scratch layers');
    }
    // Itself, too: outputs in descriptors lie beside the layer.
    return await rested(directories.map((directory) => stamped(directory, ['.', 'upper'], [])));
  }

  async #makeFiles(files: readonly RecipeFile[]): Promise<readonly Pristine[]> {
    const directories = this.#names(this.#places.files, FILES_BATCH);
    try {
      for (const directory of directories) await writeAll(directory, files);
    } catch (error) {
      for (const directory of directories) await this.#sweeper.discard(directory);
      throw asFailure(error, 'copy the files that Podman makes');
    }
    const names = files.map(({ name }) => name);
    const contents = files.map(({ content }) => content);
    return await rested(directories.map((directory) => stamped(directory, names, contents)));
  }

  #names(place: string, count: number): readonly string[] {
    const batch = randomBytes(6).toString('hex');
    return Array.from({ length: count }, (_, i) => join(place, `${batch}-${i}`));
  }
}

function keyOf(files: readonly RecipeFile[]): string {
  const hash = createHash('sha256');
  for (const { name, content } of files) hash.update(`${name} ${content.length} `).update(content);
  return hash.digest('hex');
}

async function writeAll(directory: string, files: readonly RecipeFile[]): Promise<void> {
  await mkdir(directory, { mode: 0o700 });
  for (const { name, content } of files) {
    const file = join(directory, name);
    await writeFile(file, content);
    await chmod(file, 0o644);
  }
}

function stamped(
  directory: string,
  names: readonly string[],
  contents: readonly Uint8Array[],
): Pristine {
  const parts = names.map((name) => join(directory, name));
  return { directory, parts, stamps: parts.map(stampOf), contents };
}

/** Not where they are whole seconds, as on file systems with small inodes. */
async function hasFineStamps(place: string): Promise<boolean> {
  const probe = join(place, `stamps-${randomBytes(6).toString('hex')}`);
  await mkdir(probe);
  try {
    const before = stampOf(probe);
    await pause(STAMP_MS_MAX);
    await mkdir(join(probe, 'change'));
    return stampOf(probe) !== before && stampOf(probe) % 1_000_000_000n !== 0n;
  } finally {
    await rm(probe, { recursive: true, force: true });
  }
}

/** The kernel's stamps move on in ticks: a change within the same one would not be seen. */
async function rested(items: readonly Pristine[]): Promise<readonly Pristine[]> {
  await pause(STAMP_MS_MAX);
  return items;
}

function isUnchanged({ parts, stamps, contents }: Pristine): boolean {
  try {
    return (
      parts.every((part, i) => stampOf(part) === stamps[i]) &&
      contents.every((content, i) => readFileSync(parts[i] ?? '').equals(content))
    );
  } catch {
    return false;
  }
}

const stampOf = (path: string): bigint => statSync(path, { bigint: true }).ctimeNs;

/** Whether the disk is full is told by the code. */
function asFailure(error: unknown, action: string): Error {
  const isFull =
    error instanceof Error && 'stderr' in error && /no space left/i.test(String(error.stderr));
  const failure = new CrunFailedError(action, String(error), error);
  const code = isFull ? 'ENOSPC' : error instanceof Error && 'code' in error && error.code;
  return typeof code === 'string' ? Object.assign(failure, { code }) : failure;
}
