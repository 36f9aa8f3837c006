import { existsSync } from 'node:fs';
import type { Result, StartProblem } from '@podmesh/core';
import { RECIPE_IDLE_MS_MAX, RECIPES_MAX } from './crun-limits.ts';
import type { Recipe } from './recipe.ts';
import { pinImage, RECIPE_LABEL, type RecipeMachine, takeRecipe } from './take-recipe.ts';

interface Page {
  readonly taken: Promise<Result<Recipe, StartProblem>>;
  /** The container that keeps the image. */
  readonly pin: Promise<string>;
  /** Attempts that run now. */
  inUse: number;
  usedMs: number;
}

/**
 * Recipes by image. Each is taken once, also when many ask at the same time, and while it is
 * remembered a container that never runs keeps the image: nobody can remove it below a running task
 * by mistake.
 */
export class RecipeBook {
  readonly #machine: RecipeMachine;
  readonly #pages = new Map<string, Page>();
  readonly #stopping = new AbortController();

  constructor(machine: RecipeMachine) {
    this.#machine = machine;
  }

  /**
   * Lets images go that this lane kept, in this daemon or an earlier one; not while containers of it live, which may need them.
   * Also those of daemons whose directory is gone: nobody else ever would.
   */
  async tidy(hasContainers: boolean): Promise<void> {
    const { api, owner } = this.#machine;
    for (const { Id, Labels } of await api.list(RECIPE_LABEL)) {
      const directory = Labels?.[RECIPE_LABEL];
      if (directory === undefined) continue;
      const isOver = directory === owner ? !hasContainers : !existsSync(directory);
      if (isOver) await api.remove(Id);
    }
  }

  /** The recipe, and a mark that it is in use, until `done` is called for it. */
  async use(image: string): Promise<Result<Recipe, StartProblem>> {
    const page = this.#pages.get(image) ?? this.#take(image);
    page.inUse += 1;
    page.usedMs = performance.now();
    try {
      const taken = await page.taken;
      if (taken.ok) await page.pin;
      else this.done(image);
      return taken;
    } catch (error) {
      this.done(image);
      throw error;
    }
  }

  /** A container of the image is gone. */
  done(image: string): void {
    const page = this.#pages.get(image);
    if (page !== undefined) page.inUse = Math.max(0, page.inUse - 1);
    this.#forgetIdle();
  }

  /** What was said of this image is not true any more. */
  forget(image: string): void {
    const page = this.#pages.get(image);
    this.#pages.delete(image);
    if (page !== undefined) this.#unpin(page).catch(() => undefined);
  }

  /** Images of running containers stay kept. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    const idle = [...this.#pages.values()].filter(({ inUse }) => inUse === 0);
    this.#pages.clear();
    await Promise.all(idle.map((page) => this.#unpin(page)));
  }

  #take(image: string): Page {
    const { signal } = this.#stopping;
    const page: Page = {
      taken: takeRecipe(this.#machine, image, signal),
      pin: pinImage(this.#machine, image, signal),
      inUse: 0,
      usedMs: performance.now(),
    };
    this.#pages.set(image, page);
    const drop = () => {
      if (this.#pages.get(image) === page) this.forget(image);
    };
    page.pin.catch(drop);
    page.taken.then((taken) => taken.ok || drop(), drop);
    return page;
  }

  #forgetIdle(): void {
    const nowMs = performance.now();
    const idle = [...this.#pages].filter(([, { inUse }]) => inUse === 0);
    idle.sort(([, a], [, b]) => a.usedMs - b.usedMs);
    let surplus = this.#pages.size - RECIPES_MAX;
    for (const [image, { usedMs }] of idle) {
      if (nowMs - usedMs > RECIPE_IDLE_MS_MAX || surplus-- > 0) this.forget(image);
    }
  }

  #unpin(page: Page): Promise<void> {
    // What cannot be removed now is found by its label at the next start.
    return page.pin.then((id) => this.#machine.api.remove(id)).catch(() => undefined);
  }
}
