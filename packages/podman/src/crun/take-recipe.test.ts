import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CrunUnavailableError } from './crun-errors.ts';
import { MOUNT_OPTIONS_BYTES_MAX } from './crun-limits.ts';
import { type RecipeMachine, takeRecipe } from './take-recipe.ts';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'podmesh-recipe-'));
});
afterAll(() => rm(directory, { recursive: true }));

/** A Podman with one image of these layers, that writes this configuration; and what was done with it. */
async function fakeMachine(written: object, layers: readonly string[]) {
  const done: string[] = [];
  const config = join(directory, 'config.json');
  await writeFile(config, JSON.stringify(written));
  const [UpperDir, ...lower] = layers;
  const LowerDir = lower.length === 0 ? undefined : lower.join(':');
  const GraphDriver = { Name: 'overlay', Data: { UpperDir, LowerDir } };
  const api = {
    images: { find: async () => ({ GraphDriver }) },
    create: async () => {
      done.push('create');
      return 'abc';
    },
    init: async () => void done.push('init'),
    inspectRecipe: async () => ({ OCIConfigPath: config, GraphDriver }),
    remove: async (id: string) => void done.push(`remove ${id}`),
  };
  const namespace = { run: async () => void done.push('copy') };
  const info = { host: { security: {} } };
  const machine = { api, namespace, info, owner: directory, bases: directory, precompiled: false };
  const take = () =>
    takeRecipe(machine as unknown as RecipeMachine, 'sha256:a', new AbortController().signal);
  return { take, done };
}

describe('takeRecipe', () => {
  it('refuses a configuration that protects less than always, and leaves nothing', async () => {
    const weak = { process: { noNewPrivileges: true, capabilities: {} }, linux: {}, mounts: [] };
    const { take, done } = await fakeMachine(weak, ['/s/overlay/x/diff']);
    const refusal = await take().catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(CrunUnavailableError);
    expect(refusal).toMatchObject({
      message: expect.stringMatching(/its own pid namespace, .*a seccomp filter, masked paths/),
      retryable: false,
    });
    expect(done).toEqual(['create', 'init', 'remove abc']);
  });

  it.each([
    ['too many layers', 'l'.repeat(MOUNT_OPTIONS_BYTES_MAX), /too many layers \(2\)/],
    ['a comma, which would begin another option', '/a,index=on', /at \/a,index=on, which/],
  ])('refuses %s before a container is made', async (_, layer, words) => {
    const { take, done } = await fakeMachine({}, ['/s/overlay/x/diff', layer]);
    await expect(take()).rejects.toThrow(words);
    expect(done).toEqual([]);
  });
});
