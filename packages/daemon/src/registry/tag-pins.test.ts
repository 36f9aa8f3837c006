import { OCI_INDEX, peerId, type TagRecord } from '@podmesh/core';
import { systemClock } from '@podmesh/transfer';
import { expect, it, onTestFinished } from 'vitest';
import { ALICE, imageTexts, newBlobs, SILENT, textId, write } from './registry.test-kit.ts';
import { TagPins } from './tag-pins.ts';

async function newPins() {
  const { store, ports, blobs } = await newBlobs();
  const tags = ports.imageTags;
  const pins = new TagPins({ peer: ALICE, tags, store, clock: systemClock, logger: SILENT });
  onTestFinished(() => pins.stop());
  const image = async (arch: string) => {
    const texts = imageTexts(arch);
    for (const text of texts.all) await write(blobs, text);
    return texts;
  };
  const isPinned = (text: string) => store.pins.isPinned(textId(text));
  return { pins, tags, image, isPinned, blobs };
}

const record = (text: string, by = ALICE): TagRecord => {
  return { digest: textId(text), mediaType: 'a/b', bytes: text.length, by };
};

it('what a tag of this peer means is pinned with all its parts, until it means something else', async () => {
  const { pins, tags, image, isPinned } = await newPins();
  const [one, two] = [await image('amd64'), await image('arm64')];
  await tags.set('me/tool', '1', record(one.manifest));
  await pins.start();
  expect(one.all.map(isPinned)).toEqual([true, true, true]);
  expect(two.all.map(isPinned)).toEqual([false, false, false]);
  await tags.set('me/tool', '1', record(two.manifest));
  await pins.refresh();
  expect(one.all.map(isPinned)).toEqual([false, false, false]);
  expect(two.all.map(isPinned)).toEqual([true, true, true]);
  await tags.remove('me/tool', '1');
  await pins.refresh();
  expect(two.all.map(isPinned)).toEqual([false, false, false]);
});

it('the images of an index are pinned with it; tags of other peers pin nothing here', async () => {
  const { pins, tags, image, isPinned, blobs } = await newPins();
  const [one, two] = [await image('amd64'), await image('arm64')];
  const manifests = [{ digest: textId(one.manifest), size: one.manifest.length }];
  const index = JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests });
  await write(blobs, index);
  await tags.set('me/tool', 'all', record(index));
  await tags.set('me/tool', 'theirs', record(two.manifest, peerId('bob')));
  await pins.refresh();
  expect([index, ...one.all].map(isPinned)).toEqual([true, true, true, true]);
  expect(two.all.map(isPinned)).toEqual([false, false, false]);
});

it('stays as it was while the mesh does not answer', async () => {
  const { pins, tags, image, isPinned } = await newPins();
  const one = await image('amd64');
  await tags.set('me/tool', '1', record(one.manifest));
  await pins.refresh();
  Object.assign(tags, { list: () => Promise.reject(new Error('no answer')) });
  await pins.refresh();
  expect(one.all.map(isPinned)).toEqual([true, true, true]);
});
