import { lstatSync } from 'node:fs';
import type { Result, StartProblem } from '@podmesh/core';
import type { ContainerAnswer, ContainerListAnswer } from '../podman-answers.ts';
import type { PodmanApi } from '../podman-api.ts';
import { RECIPE_IDLE_MS_MAX, RECIPES_MAX } from './crun-limits.ts';
import type { Recipe } from './recipe.ts';
import { pinImage, RECIPE_LABEL, type RecipeMachine, takeRecipe } from './take-recipe.ts';

/** A container of another daemon, whose directory cannot be seen, is left alone until it is so old. */
const STRANGER_MS_MIN = 10 * 60 * 1_000;
/** The words of a pin, and of a container that a recipe is read from; both are programs that never run. */
const OWN_ENTRYPOINTS = ['-', '/.podmesh-recipe'];
/** The last one of a removal that was interrupted. */
const NEVER_RAN = ['created', 'initialized', 'removing'];

type Taken = Result<Recipe, StartProblem>;

/** What it takes to remove a lane's containers from Podman. */
export type PinApi = Pick<PodmanApi, 'list' | 'inspect' | 'remove'>;

/** What libpod's list tells besides. */
type ListedPin = ContainerListAnswer & {
  readonly State?: string;
  /** In ISO 8601. */
  readonly Created?: string;
};

type PinAnswer = ContainerAnswer & {
  readonly Config: { readonly Entrypoint?: readonly string[] | null };
};

/**
 * Removes the containers that keep images for a lane, or were there to be read; not while containers of
 * it live, which may need them. Also those of daemons whose directory is gone: nobody else ever would.
 * What cannot be removed now is found at the next start.
 */
export async function removePins(
  api: PinApi,
  owner: string,
  hasContainers: boolean,
): Promise<void> {
  const listed: readonly ListedPin[] = await api.list(RECIPE_LABEL);
  for (const pin of listed) {
    const directory = pin.Labels?.[RECIPE_LABEL];
    if (directory === undefined) continue;
    const isOver = directory === owner ? !hasContainers : isAbandoned(directory, pin);
    if (!isOver || !NEVER_RAN.includes(pin.State ?? '')) continue;
    await removeOurs(api, pin.Id).catch(() => undefined);
  }
}

/** A home that is not mounted now, or that this process may not see, looks as if it was gone. */
function isAbandoned(directory: string, { Created = '' }: ListedPin): boolean {
  return isGone(directory) && Date.now() - Date.parse(Created) > STRANGER_MS_MIN;
}

function isGone(path: string): boolean {
  try {
    lstatSync(path);
    return false;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'ENOENT';
  }
}

/** The label alone may be the image's own, which all its containers have. */
async function removeOurs(api: PinApi, id: string): Promise<void> {
  const found: PinAnswer | undefined = await api.inspect(id);
  const [first = '', ...rest] = found?.Config.Entrypoint ?? [];
  if (rest.length === 0 && OWN_ENTRYPOINTS.includes(first)) await api.remove(id);
}

/**
 * What is known of one image. `inUse` counts every `use` that has no `done` yet, whichever recipe it
 * got: `forget` drops the recipe and not the count, because containers go on. Nothing removes the
 * last pin while `inUse` is above zero, and without use and recipe there is no page.
 */
interface Page {
  /** Undefined after `forget`: the next use takes another. */
  recipe: Promise<Taken> | undefined;
  /** Whether that recipe is there, and its image kept. */
  isKept: boolean;
  /** Containers that keep the image, the newest last; more than one only until that one is there. */
  readonly pins: Set<Promise<string>>;
  /** Attempts that run now, or are about to. */
  inUse: number;
  usedMs: number;
}

/** Where recipes come from, and what keeps an image; others in tests. */
export interface RecipeSource {
  readonly take: typeof takeRecipe;
  readonly pin: typeof pinImage;
}

/**
 * Recipes by image. Each is taken once, also when many ask at the same time, and while it is
 * remembered a container that never runs keeps the image: nobody can remove it below a running task
 * by mistake.
 */
export class RecipeBook {
  readonly #machine: RecipeMachine;
  readonly #source: RecipeSource;
  readonly #pages = new Map<string, Page>();
  readonly #stopping = new AbortController();

  constructor(machine: RecipeMachine, source: RecipeSource = { take: takeRecipe, pin: pinImage }) {
    this.#machine = machine;
    this.#source = source;
  }

  /** Lets images go that this lane kept, in this daemon or an earlier one; see {@link removePins}. */
  async tidy(hasContainers: boolean): Promise<void> {
    await removePins(this.#machine.api, this.#machine.owner, hasContainers);
  }

  /** The recipe, and a mark that its image is in use, until `done` is called for it; no mark where there is no recipe. */
  async use(image: string): Promise<Taken> {
    const page = this.#pages.get(image) ?? this.#open(image);
    page.inUse += 1;
    page.usedMs = performance.now();
    try {
      page.recipe ??= this.#take(image, page);
      const taken = await page.recipe;
      if (!taken.ok) this.done(image);
      return taken;
    } catch (error) {
      this.done(image);
      throw error;
    }
  }

  /** Whether the image is in Podman's store for certain, and may be cooked from: no need to ask Podman. */
  keeps(image: string): boolean {
    return this.#pages.get(image)?.isKept ?? false;
  }

  /** A container of the image is gone: once for each recipe that `use` gave. */
  done(image: string): void {
    const page = this.#pages.get(image);
    // None after `stop`, which lets go of what still runs.
    if (page !== undefined) {
      page.inUse = Math.max(0, page.inUse - 1);
      page.usedMs = performance.now();
    }
    this.#closeIdle();
  }

  /** What was said of this image is not true any more. Those who use it keep it until they are done. */
  forget(image: string): void {
    const page = this.#pages.get(image);
    if (page === undefined) return;
    page.recipe = undefined;
    page.isKept = false;
    this.#closeIdle();
  }

  /**
   * Somebody may have removed the containers that keep images (`podman container prune`), and the images after them: of
   * those nothing is known any more, so that the next use looks, and keeps the image again. Never throws.
   */
  async lookAfterPins(): Promise<void> {
    const kept: { readonly image: string; readonly pins: readonly string[] }[] = [];
    for (const [image, { isKept, pins }] of this.#pages) {
      // What is being made now is not looked for.
      if (isKept) kept.push({ image, pins: await Promise.all(pins).catch(() => []) });
    }
    if (kept.every(({ pins }) => pins.length === 0)) return;
    const { api } = this.#machine;
    const listed = await api.list(RECIPE_LABEL).catch(() => undefined);
    const there = new Set(listed?.map(({ Id }) => Id));
    if (listed === undefined) return;
    for (const { image, pins } of kept) {
      if (pins.length > 0 && !pins.some((pin) => there.has(pin))) this.forget(image);
    }
  }

  /** Images of running containers stay kept. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    const idle = [...this.#pages.values()].filter(({ inUse }) => inUse === 0);
    this.#pages.clear();
    await Promise.all(idle.map((page) => this.#unpin([...page.pins])));
  }

  #open(image: string): Page {
    const page: Page = {
      ...{ recipe: undefined, isKept: false },
      pins: new Set(),
      inUse: 0,
      usedMs: 0,
    };
    this.#pages.set(image, page);
    return page;
  }

  /** A recipe whose image is kept; where one of the two fails, the next use tries both again. */
  #take(image: string, page: Page): Promise<Taken> {
    const { signal } = this.#stopping;
    const pin = this.#pin(image, page);
    const recipe = this.#source.take(this.#machine, image, signal).then(async (taken) => {
      if (taken.ok) await pin;
      return taken;
    });
    const settle = (isKept: boolean) => {
      if (page.recipe !== recipe) return;
      page.isKept = isKept;
      if (!isKept) page.recipe = undefined;
    };
    recipe.then(
      ({ ok }) => settle(ok),
      () => settle(false),
    );
    return recipe;
  }

  /** The older ones go only when this one is there, and stay when it fails: one of them may still keep the image. */
  #pin(image: string, page: Page): Promise<string> {
    const older = [...page.pins];
    const pin = this.#source.pin(this.#machine, image, this.#stopping.signal);
    page.pins.add(pin);
    pin.then(
      () => {
        for (const other of older) page.pins.delete(other);
        return this.#unpin(older);
      },
      () => page.pins.delete(pin),
    );
    return pin;
  }

  /** The longest unused first, when there are too many. */
  #closeIdle(): void {
    const nowMs = performance.now();
    const idle = [...this.#pages].filter(([, { inUse }]) => inUse === 0);
    idle.sort(([, a], [, b]) => a.usedMs - b.usedMs);
    for (const [image, { recipe, pins, usedMs }] of idle) {
      const isOver = recipe === undefined || nowMs - usedMs > RECIPE_IDLE_MS_MAX;
      if (!isOver && this.#pages.size <= RECIPES_MAX) continue;
      this.#pages.delete(image);
      void this.#unpin([...pins]);
    }
  }

  /** What cannot be removed now is found by its label at the next start. */
  async #unpin(pins: readonly Promise<string>[]): Promise<void> {
    const { api } = this.#machine;
    await Promise.allSettled(pins.map(async (pin) => await api.remove(await pin)));
  }
}
