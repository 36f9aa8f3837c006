import { ok, type Result, refused, type StartProblem } from '@podmesh/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RECIPES_MAX } from './crun-limits.ts';
import type { Recipe } from './recipe.ts';
import { RecipeBook } from './recipe-book.ts';
import type { RecipeMachine } from './take-recipe.ts';

const IMAGE = 'sha256:a';

/** A book over a Podman that only counts: which pins there are, and how often a recipe was taken. */
function testBook() {
  const pins = new Map<string, string>();
  let made = 0;
  const now = {
    taken: 0,
    take: async (image: string): Promise<Result<Recipe, StartProblem>> => ok({ image } as Recipe),
    pin: async () => undefined as undefined,
  };
  const remove = async (id: string) => void pins.delete(id);
  const book = new RecipeBook({ api: { remove } } as unknown as RecipeMachine, {
    take: async (_, image) => {
      now.taken += 1;
      return await now.take(image);
    },
    pin: async (_, image) => {
      await now.pin();
      const id = `pin-${made++}`;
      pins.set(id, image);
      return id;
    },
  });
  const pinsOf = (image = IMAGE) => [...pins].filter(([, of]) => of === image).map(([id]) => id);
  return { book, now, pinsOf };
}

/** Longer than any chain of promises that were already settled. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

describe('RecipeBook', () => {
  it('takes one recipe, and one pin, for many at the same time', async () => {
    const { book, now, pinsOf } = testBook();
    await Promise.all([book.use(IMAGE), book.use(IMAGE), book.use(IMAGE)]);
    expect({ taken: now.taken, pins: pinsOf() }).toEqual({ taken: 1, pins: ['pin-0'] });
  });

  it('keeps an image that was forgotten until the last who uses it is done', async () => {
    const { book, now, pinsOf } = testBook();
    await book.use(IMAGE);
    await book.use(IMAGE);
    book.forget(IMAGE);
    await settled();
    expect(pinsOf()).toEqual(['pin-0']);
    await book.use(IMAGE);
    await settled();
    expect({ taken: now.taken, pins: pinsOf() }).toEqual({ taken: 2, pins: ['pin-1'] });
    book.done(IMAGE);
    book.done(IMAGE);
    book.forget(IMAGE);
    await settled();
    expect(pinsOf()).toEqual(['pin-1']);
    book.done(IMAGE);
    await settled();
    expect(pinsOf()).toEqual([]);
  });

  it('keeps the older pin where the newer cannot be made', async () => {
    const { book, now, pinsOf } = testBook();
    await book.use(IMAGE);
    book.forget(IMAGE);
    now.pin = () => Promise.reject(new Error('no space left'));
    await expect(book.use(IMAGE)).rejects.toThrow('no space left');
    await settled();
    expect(pinsOf()).toEqual(['pin-0']);
    book.done(IMAGE);
    await settled();
    expect(pinsOf()).toEqual([]);
  });

  it('does not remember a refusal, nor count it', async () => {
    const { book, now, pinsOf } = testBook();
    now.take = async () => refused({ kind: 'runtime', message: 'gone' });
    const both = await Promise.all([book.use(IMAGE), book.use(IMAGE)]);
    expect(both.map((taken) => taken.ok)).toEqual([false, false]);
    await settled();
    expect(pinsOf()).toEqual([]);
    now.take = async (image) => ok({ image } as Recipe);
    expect(await book.use(IMAGE)).toMatchObject({ ok: true });
    expect({ taken: now.taken, pins: pinsOf().length }).toEqual({ taken: 2, pins: 1 });
  });

  it('ignores who is done without having begun', async () => {
    const { book, pinsOf } = testBook();
    book.done(IMAGE);
    await book.use(IMAGE);
    book.done(IMAGE);
    book.done(IMAGE);
    await book.use(IMAGE);
    book.forget(IMAGE);
    await settled();
    expect(pinsOf()).toHaveLength(1);
  });

  it('lets go of the longest unused when there are too many, never of one in use', async () => {
    const { book, pinsOf } = testBook();
    await book.use(IMAGE);
    for (let i = 0; i < RECIPES_MAX; i++) {
      await book.use(`image-${i}`);
      book.done(`image-${i}`);
    }
    await settled();
    const count = (image: string) => pinsOf(image).length;
    expect([IMAGE, 'image-0', 'image-1'].map(count)).toEqual([1, 0, 1]);
  });

  it('keeps images of running containers when it stops', async () => {
    const { book, pinsOf } = testBook();
    await book.use(IMAGE);
    await book.use('idle');
    book.done('idle');
    await book.stop();
    expect({ running: pinsOf(), idle: pinsOf('idle') }).toEqual({ running: ['pin-0'], idle: [] });
    book.done(IMAGE);
  });

  it('has a pin exactly while an image is used or remembered, whatever the order', async () => {
    const step = fc.constantFrom('use', 'done', 'forget', 'settle');
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const { book, pinsOf } = testBook();
        let inUse = 0;
        let isKnown = false;
        const pending: Promise<unknown>[] = [];
        for (const name of steps) {
          if (name === 'use') {
            pending.push(book.use(IMAGE));
            inUse += 1;
            isKnown = true;
          } else if (name === 'done' && inUse > 0) {
            book.done(IMAGE);
            inUse -= 1;
          } else if (name === 'forget') {
            book.forget(IMAGE);
            isKnown = false;
          } else {
            await settled();
            expect(pinsOf()).toHaveLength(inUse > 0 || isKnown ? 1 : 0);
          }
        }
        await Promise.all(pending);
        while (inUse-- > 0) book.done(IMAGE);
        book.forget(IMAGE);
        await settled();
        expect(pinsOf()).toEqual([]);
      }),
    );
  });
});
