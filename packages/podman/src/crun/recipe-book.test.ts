import { ok, type Result, refused, type StartProblem } from '@podmesh/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RECIPES_MAX } from './crun-limits.ts';
import type { Recipe } from './recipe.ts';
import { type PinApi, RecipeBook, removePins } from './recipe-book.ts';
import { pinImage, type RecipeMachine, takeRecipe } from './take-recipe.ts';

const IMAGE = 'sha256:a';

/** A book over a Podman that only counts: which pins there are, and how often a recipe was taken. */
function testBook() {
  const pins = new Map<string, string>();
  let made = 0;
  const now = {
    taken: 0,
    take: async (image: string): Promise<Result<Recipe, StartProblem>> => ok({ image } as Recipe),
    pin: async () => undefined as undefined,
    list: async () => undefined as undefined,
  };
  const remove = async (id: string) => void pins.delete(id);
  const list = async () => {
    await now.list();
    return [...pins.keys()].map((Id) => ({ Id }));
  };
  const book = new RecipeBook({ api: { remove, list } } as unknown as RecipeMachine, {
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
  const removePin = (id: string) => void pins.delete(id);
  const pinsOf = (image = IMAGE) => [...pins].filter(([, of]) => of === image).map(([id]) => id);
  return { book, now, pinsOf, removePin };
}

/** Longer than any chain of promises that were already settled. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

describe('RecipeBook', () => {
  it('keeps an image again whose keeper somebody removed, and no other', async () => {
    const { book, now, pinsOf, removePin } = testBook();
    for (const image of [IMAGE, 'sha256:b']) {
      await book.use(image);
      await book.lookAfterPins();
    }
    expect(now.taken).toBe(2);
    removePin('pin-0');
    now.list = () => Promise.reject(new Error('Podman is away'));
    await book.lookAfterPins();
    expect(book.keeps(IMAGE)).toBe(true);
    now.list = async () => undefined;
    await book.lookAfterPins();
    expect([book.keeps(IMAGE), book.keeps('sha256:b')]).toEqual([false, true]);
    await book.use(IMAGE);
    expect({ taken: now.taken, pins: pinsOf() }).toEqual({ taken: 3, pins: ['pin-2'] });
  });

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

const OWN = process.cwd();
const LONG_AGO = '2020-01-01T00:00:00.123456789Z';

/** Removes pins from a Podman with one container, which is a pin unless something is said; tells whether it went. */
async function isRemoved(
  changes: { owner?: string; State?: string; Created?: string; entrypoint?: readonly string[] },
  hasContainers = false,
): Promise<boolean> {
  const { owner = OWN, State = 'created', Created = LONG_AGO, entrypoint = ['-'] } = changes;
  const removed: string[] = [];
  const api = {
    list: async () => [{ Id: 'c', Labels: { 'podmesh.recipe': owner }, State, Created }],
    inspect: async () => ({ Config: { Entrypoint: entrypoint } }),
    remove: async (id: string) => void removed.push(id),
  };
  await removePins(api as unknown as PinApi, OWN, hasContainers);
  return removed.length > 0;
}

describe('removePins', () => {
  it("removes this lane's when it has no containers, and others' when those are gone", async () => {
    expect(await isRemoved({ Created: new Date().toISOString() })).toBe(true);
    expect(await isRemoved({}, true)).toBe(false);
    expect(await isRemoved({ owner: '/' })).toBe(false);
    expect(await isRemoved({ owner: '/nonexistent' }, true)).toBe(true);
  });

  it('leaves those alone whose owner may only be out of sight', async () => {
    const owner = '/nonexistent';
    expect(await isRemoved({ owner, Created: new Date().toISOString() })).toBe(false);
    expect(await isRemoved({ owner, Created: 'who knows' })).toBe(false);
    expect(await isRemoved({ owner: '/proc/self/stat/lane' })).toBe(false);
  });

  it('touches no container of an image that has the label', async () => {
    const owner = '/nonexistent';
    for (const entrypoint of [['/bin/sh'], ['-', 'x'], []]) {
      expect(await isRemoved({ owner, entrypoint }), entrypoint.join()).toBe(false);
      expect(await isRemoved({ entrypoint }), entrypoint.join()).toBe(false);
    }
    for (const State of ['running', 'exited', 'stopped', 'paused', undefined]) {
      expect(await isRemoved({ owner, State: State ?? '' }), State).toBe(false);
    }
  });

  it('knows what this lane makes', async () => {
    const bodies: { Entrypoint?: readonly string[] }[] = [];
    const api = {
      images: {
        find: async () => ({ GraphDriver: { Name: 'overlay', Data: { UpperDir: '/u' } } }),
      },
      create: async (body: object) => void bodies.push(body),
      init: () => Promise.reject(new Error('seen enough')),
      remove: async () => undefined,
    };
    const machine = {
      api,
      info: { host: { security: {} } },
      owner: OWN,
    } as unknown as RecipeMachine;
    const { signal } = new AbortController();
    await pinImage(machine, IMAGE, signal);
    await expect(takeRecipe(machine, IMAGE, signal)).rejects.toThrow('seen enough');
    expect(bodies).toHaveLength(2);
    for (const { Entrypoint: entrypoint = [] } of bodies) {
      expect(await isRemoved({ entrypoint, State: 'initialized' })).toBe(true);
    }
  });
});
