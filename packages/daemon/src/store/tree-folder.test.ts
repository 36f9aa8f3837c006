import { makeTree, parseTree } from '@podmesh/jetstream';
import { expect, it } from 'vitest';
import { newStore, textStream } from './store.test-kit.ts';
import { buildTreeFolder, type TreeSource } from './tree-folder.ts';

it('of which the folder is used again, the files are used, too', async () => {
  let nowMs = 0;
  const { store } = await newStore({ nowMs: () => nowMs });
  const file = await store.write(textStream('file'));
  const { ref, bytes } = makeTree([{ kind: 'file', path: 'file', executable: false, ...file }]);
  await store.write(textStream(Buffer.from(bytes).toString()));
  let reads = 0;
  const source: TreeSource = {
    store,
    fetch: async () => undefined,
    readTree: async (listing) => {
      reads += 1;
      return parseTree(bytes, listing);
    },
  };
  const use = () => buildTreeFolder(source, ref.digest, store.places.tree(ref.digest));
  await use();
  for (nowMs of [3_600_000, 3_600_001]) await use();
  expect(store.index.whole(file.digest)).toMatchObject({ usedAtMs: 3_600_000 });
  // One to lay it out, one for its files.
  expect(reads).toBe(2);
});
