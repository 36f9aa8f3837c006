import { describe, expect, it } from 'vitest';
import { pinGraph } from '../graph/image-pins.ts';
import { digestAction } from './action.ts';
import { buildOffer, gathersOf, gatherTree, type Surroundings } from './build-offer.ts';
import { digestOf, fakeSha256, RUN, RunFixture } from './run-fixture.test-kit.ts';
import { initialRunState } from './run-state.ts';

const known: Surroundings = {
  image: (reference) => (reference === 'localhost/tool:1' ? { amd64: 'sha256:image' } : undefined),
  artifact: (id) => ({ digest: id, kind: 'dir', bytes: 9 }),
  gathered: (job, output) => ({ digest: digestOf(`${job}+${output}`), kind: 'dir', bytes: 1 }),
  item: () => ({ artifact: { digest: digestOf('item'), kind: 'file', bytes: 4 } }),
  largestMemoryBytes: () => 2 ** 31,
  sha256: fakeSha256,
};

describe('buildOffer', () => {
  it('carries the digests of what the task reads', () => {
    const input = digestOf('given');
    const run = new RunFixture([
      { id: 'a', outputs: { out: 'file:/o' } },
      { id: 'b', inputs: { x: 'jobs:a/out', y: input }, command: ['go'] },
    ]);
    run.run('a');
    const offer = buildOffer(run.state, 1, RUN, known);
    expect(offer).toMatchObject({
      task: 'b',
      attempt: 1,
      sequence: 0,
      image: { kind: 'reference', reference: 'localhost/tool:1', pins: { amd64: 'sha256:image' } },
      inputs: { x: { digest: digestOf('a/out') }, y: { digest: input, kind: 'dir' } },
    });
  });

  it('tells which outputs are images that other jobs run in', () => {
    const outputs = { out: 'file:/i', other: 'file:/o' };
    const run = new RunFixture([
      { id: 'a', outputs },
      { id: 'b', count: 2, outputs },
      { id: 'c', container: 'jobs:a/out' },
      { id: 'd', container: 'jobs:b:1/other', inputs: { x: 'jobs:a/other' } },
      { id: 'e', container: 'jobs:a/out' },
    ]);
    const imagesOf = (task: number) => buildOffer(run.state, task, RUN, known).images;
    expect([0, 1, 2].map(imagesOf)).toEqual([['out'], undefined, ['other']]);
    run.run('a');
    run.run('b:0');
    run.run('b:1');
    expect(imagesOf(3)).toBeUndefined();
    expect('images' in buildOffer(run.state, 3, RUN, known)).toBe(false);
  });

  it('tells an element of an array job which one it is', () => {
    const run = new RunFixture([{ id: 'm', count: 3, env: { A: '1' } }]);
    expect(buildOffer(run.state, 2, RUN, known)).toMatchObject({
      task: 'm:2',
      env: { A: '1', PODMESH_INDEX: '2', PODMESH_COUNT: '3' },
    });
  });

  it('tells each task its id where the job wants to know', () => {
    const run = new RunFixture([{ id: 'p', job: { python: 'c' }, inputs: { x: digestOf('x') } }]);
    const job = run.state.graph.jobs[0];
    const { job: _, ...inputs } = job?.inputs ?? {};
    Object.assign(job ?? {}, { inputs });
    expect(buildOffer(run.state, 0, RUN, known)).toMatchObject({
      env: { JOB_ID: 'p' },
      mountAt: { job: '/job' },
    });
  });

  it('gathers the outputs of an array job as a directory whose names sort in order', () => {
    const run = new RunFixture([
      { id: 'm', count: 11, outputs: { out: 'file:/o', dir: 'dir:/d' } },
      { id: 'g', inputs: { all: 'jobs:m/out', one: 'jobs:m:4/out' } },
    ]);
    for (let element = 0; element < 11; element += 1) run.run(`m:${element}`);
    expect(gathersOf(run.state, 11)).toMatchObject([{ job: 'm', output: 'out' }]);
    const job = run.state.graph.jobs[0];
    const tree = gatherTree(run.state, job?.id as never, 'out');
    expect(tree.entries.map((entry) => entry.path)).toEqual([
      '00',
      '01',
      '02',
      '03',
      '04',
      '05',
      '06',
      '07',
      '08',
      '09',
      '10',
    ]);
    expect(gatherTree(run.state, job?.id as never, 'dir').entries[3]).toEqual({
      kind: 'tree',
      path: '03',
      digest: digestOf('m:3/dir'),
    });
    const offer = buildOffer(run.state, 11, RUN, known);
    expect(offer.inputs).toMatchObject({
      all: { digest: digestOf('m+out') },
      one: { digest: digestOf('m:4/out') },
    });
  });

  it('passes on the pins of an image, so that each peer takes that of its own architecture', () => {
    const run = new RunFixture([{ id: 'a' }]);
    const pins = new Map([['localhost/tool:1', { amd64: 'sha256:a', arm64: 'sha256:b' }]]);
    const state = initialRunState(pinGraph(run.state.graph, pins));
    expect(buildOffer(state, 0, RUN, known).image).toEqual({
      kind: 'reference',
      reference: 'localhost/tool:1',
      pins: { amd64: 'sha256:a', arm64: 'sha256:b' },
    });
  });

  it('names the peers that spoiled earlier attempts', () => {
    const run = new RunFixture([{ id: 'a' }]);
    run.start('a', 1, 'bad');
    run.lose('a', 1, 'bad');
    const offer = buildOffer(run.state, 0, RUN, known);
    expect(offer).toMatchObject({ attempt: 2, sequence: 2, avoid: ['bad'] });
  });
});

describe('digestAction', () => {
  const offerOf = (job: object) => buildOffer(new RunFixture([job]).state, 0, RUN, known);
  const digest = (job: object, image = 'sha256:image', platform = 'linux/amd64') =>
    digestAction(offerOf(job), image, platform, fakeSha256);

  it('depends on what decides the result and on nothing else', () => {
    const base = digest({ id: 'a', command: ['x'], env: { A: '1' } });
    expect(digest({ id: 'b', command: ['x'], env: { A: '1' }, retries: 3 })).toBe(base);
    expect(digest({ id: 'a', command: ['x'], env: { A: '1' }, needs: { cpus: 2 } })).toBe(base);
    expect(digest({ id: 'a', command: ['y'], env: { A: '1' } })).not.toBe(base);
    expect(digest({ id: 'a', command: ['x'], env: { A: '2' } })).not.toBe(base);
    expect(digest({ id: 'a', command: ['x'], env: { A: '1' }, net: true })).not.toBe(base);
    expect(digest({ id: 'a', command: ['x'], env: { A: '1' } }, 'sha256:other')).not.toBe(base);
    const arm = digest({ id: 'a', command: ['x'], env: { A: '1' } }, undefined, 'linux/arm64');
    expect(arm).not.toBe(base);
  });
});
