import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { temporaryDirectory } from '../fake-world.test-kit.ts';
import { inlineGraphs } from './inline-graphs.ts';

it('takes in a graph of as many jobs as a document can hold', async () => {
  const directory = temporaryDirectory();
  const inner = { version: 1, jobs: Array.from({ length: 150_000 }, () => ({})) };
  await writeFile(join(directory, 'inner.json'), JSON.stringify(inner));
  const document = { version: 1, jobs: [{ id: 'a', graph: 'inner.json' }] };
  const { places } = await inlineGraphs({ document, directory });
  expect(places).toHaveLength(150_000);
});
