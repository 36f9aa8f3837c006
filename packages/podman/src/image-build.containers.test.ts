import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTestbed, type Testbed } from './container-testbed.test-kit.ts';
import { buildImage, ImageBuildError } from './image-build.ts';

const NAME = 'localhost/podmesh-test/built:1';
const never = new AbortController().signal;
let bed: Testbed;
beforeAll(async () => {
  bed = await openTestbed();
});
afterAll(() => bed.close());

async function build(containerfile: string, signal = never): Promise<{ id: string; said: string }> {
  await writeFile(join(bed.directory, 'Containerfile'), containerfile);
  const said: Uint8Array[] = [];
  const order = { directory: bed.directory, name: NAME };
  const id = await buildImage(order, process.env, (bytes) => said.push(bytes), signal);
  return { id, said: Buffer.concat(said).toString('utf8') };
}

describe('building an image', () => {
  it('runs its commands, gives it its name and says what it does', async () => {
    const { id, said } = await build(`FROM ${bed.imageName}\nRUN echo made > /made\n`);
    expect(await bed.runtime.resolveImage(NAME, false, never)).toEqual({ ok: true, value: id });
    expect(said).toContain('RUN echo made');
    const { out } = await bed.run({ image: id, command: ['cat', '/made'] });
    expect(out).toBe('made\n');
    await bed.podman('rmi', '-f', NAME);
  }, 60_000);

  it('fails with an error of its own, after the words of the build', async () => {
    await expect(build(`FROM ${bed.imageName}\nRUN exit 3\n`)).rejects.toThrow(ImageBuildError);
    await expect(build(`FROM ${bed.imageName}\nRUN exit 3\n`)).rejects.toThrow(
      'no image was built',
    );
  }, 60_000);

  it('ends when its caller gives up', async () => {
    await expect(build('FROM scratch\n', AbortSignal.abort())).rejects.toThrow('given up');
  });
});
