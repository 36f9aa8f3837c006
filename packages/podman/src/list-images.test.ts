import { expect, it } from 'vitest';
import { type AskForImages, BROKEN_IMAGES_MAX, listAround } from './list-images.ts';
import { PodmanRefusedError } from './podman-errors.ts';

const idOf = (at: number): string => `sha256:${String(at).padStart(64, '0')}`;

/** A Podman with so many images, made one after the other, some of them broken. */
function podmanWith(count: number, broken: ReadonlySet<number>): AskForImages {
  const at = (id: string | undefined, otherwise: number) =>
    id === undefined ? otherwise : Number(id.slice('sha256:'.length));
  return async ({ since, before }) => {
    const [from, to] = [at(since, -1), at(before, count)];
    const all = Array.from({ length: count }, (_, image) => image);
    const asked = all.filter((image) => image > from && image < to);
    const bad = asked.find((image) => broken.has(image));
    if (bad === undefined) return asked.map((image) => ({ Id: idOf(image) }) as never);
    const reason = `retrieving label for image "${idOf(bad).slice(7)}": you may need to remove it`;
    throw new PodmanRefusedError('list images', 500, reason, undefined);
  };
}

it.each([[[]], [[0]], [[4]], [[2]], [[0, 1, 4]], [[1, 3]], [[0, 1, 2, 3, 4]]])(
  'leaves out %j of five',
  async (bad) => {
    const { images, broken } = await listAround(podmanWith(5, new Set(bad)));
    const good = [0, 1, 2, 3, 4].filter((image) => !bad.includes(image));
    expect(images.map(({ Id }) => Id).sort()).toEqual(good.map(idOf));
    expect(broken.map(({ id }) => id).sort()).toEqual(bad.map(idOf));
    if (bad.length > 0) expect(broken[0]?.reason).toContain('you may need to remove it');
  },
);

it('passes on every other refusal, and gives up a store that is mostly broken', async () => {
  const away = new PodmanRefusedError('list images', 500, 'the disk is on fire', undefined);
  await expect(listAround(() => Promise.reject(away))).rejects.toBe(away);
  const reason = `image "${'a'.repeat(64)}" is not known`;
  const wrong = new PodmanRefusedError('list images', 404, reason, undefined);
  await expect(listAround(() => Promise.reject(wrong))).rejects.toBe(wrong);
  const all = new Set(Array.from({ length: BROKEN_IMAGES_MAX + 1 }, (_, image) => image));
  await expect(listAround(podmanWith(all.size, all))).rejects.toThrow('you may need to remove it');
});
