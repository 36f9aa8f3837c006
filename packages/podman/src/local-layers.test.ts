import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { layersIn, readLocalLayers } from './local-layers.ts';
import type { InfoAnswer } from './podman-answers.ts';

const whole = { id: 'a', 'diff-digest': 'sha256:aa', 'diff-size': 7 };

it('layers are known by what they are when they are not compressed, once they are whole', () => {
  const layers = [
    whole,
    { ...whole, 'diff-digest': 'sha256:bb', flags: { incomplete: true } },
    { id: 'without a digest' },
    null,
  ];
  expect([...layersIn(JSON.stringify(layers))]).toEqual([['sha256:aa', 7]]);
  expect(layersIn('null').size).toBe(0);
});

it('nothing is known to be there where the store cannot be read', async () => {
  const root = await mkdtemp(join(tmpdir(), 'podmesh-layers-'));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  const told = (store: object) => ({ info: async () => ({ store }) as InfoAnswer });
  const api = told({ graphDriverName: 'overlay', graphRoot: root });
  expect((await readLocalLayers(api)).size).toBe(0);
  expect((await readLocalLayers(told({ graphDriverName: 'overlay' }))).size).toBe(0);
  await mkdir(join(root, 'overlay-layers'));
  await writeFile(join(root, 'overlay-layers', 'layers.json'), JSON.stringify([whole]));
  expect((await readLocalLayers(api)).size).toBe(1);
  await writeFile(join(root, 'overlay-layers', 'layers.json'), '[');
  expect((await readLocalLayers(api)).size).toBe(0);
});
