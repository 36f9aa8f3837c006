import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type CrunTestbed, openCrunTestbed } from './crun-testbed.test-kit.ts';
import { expectNothingLeft } from './expect-nothing-left.test-kit.ts';

const NAME = 'localhost/podmesh/test-removed:1';
const never = new AbortController().signal;

let bed: CrunTestbed;
beforeAll(async () => {
  bed = await openCrunTestbed();
});
afterAll(async () => {
  await expectNothingLeft(bed);
  await bed.podman.podman('rmi', '--force', NAME).catch(() => undefined);
});

/** The same bytes each time, and so the same image. */
async function build(): Promise<string> {
  const file = join(bed.podman.directory, 'Containerfile');
  await writeFile(file, `FROM ${bed.podman.imageName}\nENV REMOVED=1\nRUN echo layer > /layer\n`);
  const words = ['build', '--quiet', '--pull=never', '--isolation', 'chroot', '--timestamp', '0'];
  await bed.podman.podman(...words, '--file', file, '--tag', NAME, bed.podman.directory);
  const id = await bed.podman.podman('image', 'inspect', '--format', '{{.Id}}', NAME);
  return `sha256:${id.trim()}`;
}

const keepers = async (): Promise<readonly string[]> => {
  const filter = `label=podmesh.recipe=${bed.directory}`;
  const words = ['ps', '-aq', '--no-trunc', '--filter', filter];
  return (await bed.podman.podman(...words)).split('\n').filter(Boolean);
};

it('comes back from an image that was removed by force, and from a keeper that was', async () => {
  const image = await build();
  const task = { image, command: ['cat', '/layer'] };
  expect((await bed.run(task)).out).toBe('layer\n');
  // Whoever forces it takes the keeper away, too.
  await bed.podman.podman('rmi', '--force', image);
  expect(await keepers()).toEqual([]);
  const spec = await bed.podman.spec(task);
  const insisting = { ...spec, requirements: { ...spec.requirements, runtime: 'crun' as const } };
  const refused = await bed.crun.start(insisting, () => undefined, never);
  expect(refused).toMatchObject({ ok: false, error: { kind: 'runtime' } });
  expect(await bed.crun.resolveImage(image, false, never)).toMatchObject({ ok: false });
  const again = await build();
  expect((await bed.run({ ...task, image: again })).out).toBe('layer\n');
  const [keeper = ''] = await keepers();
  await bed.podman.podman('rm', '--force', keeper);
  // The daemon looks every minute; until then the image is all the same there.
  expect((await bed.run({ ...task, image: again })).out).toBe('layer\n');
  await bed.crun.leftovers(bed.podman.peer);
  expect((await bed.run({ ...task, image: again })).out).toBe('layer\n');
  expect(await keepers()).toHaveLength(1);
  await expect(bed.podman.podman('rmi', again)).rejects.toThrow(/in use|used by/);
});
