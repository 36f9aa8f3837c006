import { type ContainerRuntime, ok, refused } from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import { type NamedImage, resolveNamedImage } from './resolve-named-image.ts';

const TOOL = 'registry.example/tool:1';
const OLD = `sha256:${'a'.repeat(64)}`;
const NEW = `sha256:${'b'.repeat(64)}`;

/** A machine: what its store knows by name or id, and what a registry would give. */
function machine(store: Record<string, string>, registry: Record<string, string> = {}) {
  const pulls: string[] = [];
  const runtime: Pick<ContainerRuntime, 'resolveImage'> = {
    resolveImage: async (reference, pull) => {
      const here = store[reference];
      if (here !== undefined) return ok(here);
      const there = pull === false ? undefined : registry[reference];
      if (pull === false || there === undefined) {
        return refused({ kind: 'unavailable', message: `${reference} is nowhere` });
      }
      pulls.push(reference);
      pull(`pulling ${reference}`);
      return ok(there);
    },
  };
  const resolve = (image: NamedImage, arch = 'amd64') =>
    resolveNamedImage(runtime, image, {
      arch,
      pull: () => undefined,
      signal: new AbortController().signal,
    });
  return { resolve, pulls };
}

const pinned = { kind: 'reference', reference: TOOL, pins: { amd64: OLD, arm64: NEW } } as const;

describe('a reference that was pinned', () => {
  it('means the pinned image, wherever the tag points by now', async () => {
    const { resolve, pulls } = machine({ [OLD]: OLD, [TOOL]: NEW });
    expect(await resolve(pinned)).toBe(OLD);
    expect(pulls).toEqual([]);
  });

  it('has a pin for each architecture', async () => {
    const { resolve } = machine({ [OLD]: OLD, [NEW]: NEW });
    expect(await resolve(pinned, 'arm64')).toBe(NEW);
  });

  it('is pulled, and taken when it is the very image', async () => {
    const { resolve, pulls } = machine({}, { [TOOL]: OLD });
    expect(await resolve(pinned)).toBe(OLD);
    expect(pulls).toEqual([TOOL]);
  });

  it.each([
    ['here', machine({ [TOOL]: NEW })],
    ['at the registry', machine({}, { [TOOL]: NEW })],
  ])(
    'is unavailable when the tag was moved %s, and both images are named',
    async (_, { resolve }) => {
      await expect(resolve(pinned)).rejects.toMatchObject({
        kind: 'image-unavailable',
        message: expect.stringMatching(
          /registry\.example\/tool:1 is image b{12} .* to this run it is a{12}, .* the tag was moved, or .* Publish again/,
        ),
      });
    },
  );

  it('that is nowhere says where it was looked for, and what it was', async () => {
    await expect(machine({}).resolve(pinned)).rejects.toMatchObject({
      kind: 'image-unavailable',
      message: `${TOOL} is nowhere (to this run it is image aaaaaaaaaaaa)`,
    });
  });

  it('is looked for by its name on machines of an architecture without a pin', async () => {
    const { resolve } = machine({ [TOOL]: NEW });
    expect(await resolve(pinned, 'riscv64')).toBe(NEW);
  });
});

describe('an image that was not pinned', () => {
  it('is what its name means here, or at a registry', async () => {
    const image = { kind: 'reference', reference: TOOL } as const;
    expect(await machine({ [TOOL]: NEW }).resolve(image)).toBe(NEW);
    expect(await machine({}, { [TOOL]: OLD }).resolve(image)).toBe(OLD);
  });

  it('given by its id alone is never asked for elsewhere', async () => {
    const { resolve } = machine({}, { [OLD]: OLD });
    await expect(resolve({ kind: 'digest', digest: OLD })).rejects.toThrow('nowhere');
  });
});
