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

async function written(files: Readonly<Record<string, object | string>>) {
  const directory = temporaryDirectory();
  for (const [name, content] of Object.entries(files)) {
    const text = typeof content === 'string' ? content : JSON.stringify(content);
    await writeFile(join(directory, name), text);
  }
  return directory;
}

it('tells what is wrong in all files, not only in the first one', async () => {
  const directory = await written({
    'broken.json': '{"version": 1, "jobs": [',
    'odd.json': { version: 1, jobs: [{ inputs: { a: 'inputs:x' } }], nonsense: true },
    'outer.json': { version: 1, jobs: [{ graph: 'missing.json' }, { id: 'o', graph: 'odd.json' }] },
  });
  const jobs = [
    { id: 'a', graph: 'broken.json' },
    { id: 'b', graph: 'outer.json' },
    { id: 'c', inputs: { in: 'jobs:a/out' } },
    { id: 'd', graph: 'nowhere.json' },
  ];
  const error = await inlineGraphs({ document: { version: 1, jobs }, directory }).catch((e) => e);
  expect(error).toMatchObject({ kind: 'document' });
  const paths = error.problems.map(({ path }: { path: string }) => path);
  expect(paths).toEqual([
    expect.stringMatching(/^jobs\[0\] \(broken\.json\) line 1/),
    'jobs[1] (outer.json) jobs[0].graph',
    'jobs[1] (outer.json) jobs[1] (odd.json) nonsense',
    'jobs[1] (outer.json) jobs[1] (odd.json) jobs[0].inputs.a',
    'jobs[3].graph',
  ]);
});

it('ends at a bound where files without a job include each other very often', async () => {
  const levels = Object.fromEntries(
    Array.from({ length: 14 }, (_, level) => {
      const graph = `level-${level + 1}.json`;
      return [`level-${level}.json`, { version: 1, jobs: [{ graph }, { id: 'x', graph }] }];
    }),
  );
  const directory = await written({ ...levels, 'level-14.json': { version: 1, jobs: [] } });
  const document = { version: 1, jobs: [{ id: 'a', graph: 'level-0.json' }] };
  const error = await inlineGraphs({ document, directory }).catch((e) => e);
  expect(error.problems).toHaveLength(1);
  expect(error.problems[0].problem).toContain('more than 2,000 graphs of files');
});
