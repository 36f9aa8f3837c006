import { describe, expect, it } from 'vitest';
import type { Graph } from './graph.ts';
import {
  type ImageHolder,
  imageNames,
  pinGraph,
  pinReference,
  unpinnedReferences,
} from './image-pins.ts';

const TOOL = 'localhost/tool:1';
const id = (letter: string): string => `sha256:${letter.repeat(64)}`;

function holder(name: string, image: string, arch = 'amd64'): ImageHolder {
  return { name, arch, images: { [image]: [TOOL], [id('0')]: ['localhost/other:1'] } };
}

describe('what a reference means', () => {
  it('is one id for each architecture that has it', () => {
    const holders = [
      holder('oak', id('a')),
      holder('ash', id('a')),
      holder('pi', id('b'), 'arm64'),
      { name: 'new', arch: 'riscv64', images: {} },
    ];
    expect(pinReference(TOOL, holders)).toEqual({
      pins: { amd64: id('a'), arm64: id('b') },
      disagreements: [],
    });
  });

  it('is what most mean, and of equals the smaller id, whatever their order', () => {
    const [a, b, c] = [holder('oak', id('b')), holder('ash', id('a')), holder('elm', id('b'))];
    for (const holders of [
      [a, b, c],
      [b, c, a],
    ]) {
      const { pins, disagreements } = pinReference(TOOL, holders);
      expect(pins).toEqual({ amd64: id('b') });
      expect(disagreements).toMatchObject([{ arch: 'amd64', taken: id('b') }]);
      expect(disagreements[0]?.meanings.map(({ image }) => image)).toEqual([id('b'), id('a')]);
    }
    expect(pinReference(TOOL, [a, b]).pins).toEqual({ amd64: id('a') });
  });

  it("is what the publisher's own machine means now, not what the mesh was told of it", () => {
    const holders = [
      holder('mine', id('a')),
      holder('ash', id('a')),
      holder('pi', id('c'), 'arm64'),
    ];
    const { pins, disagreements } = pinReference(TOOL, holders, holder('mine', id('b')));
    expect(pins).toEqual({ amd64: id('b'), arm64: id('c') });
    expect(disagreements[0]?.meanings).toEqual([
      { image: id('b'), holders: ['mine'] },
      { image: id('a'), holders: ['ash'] },
    ]);
  });

  it('is what the others mean where the own machine does not have it', () => {
    const own = { name: 'mine', arch: 'amd64', images: {} };
    const { pins } = pinReference(TOOL, [holder('ash', id('a'))], own);
    expect(pins).toEqual({ amd64: id('a') });
    expect(pinReference('localhost/nobody:1', [holder('ash', id('a'))]).pins).toEqual({});
  });

  it.each([
    ['tool:1', true],
    ['localhost/tool:1', true],
    ['tool', false],
    ['tool:2', false],
  ])('%s is among its names: %s', (reference, isIt) => {
    expect(imageNames(reference).includes(TOOL)).toBe(isIt);
  });

  it('of a name without a tag is the latest', () => {
    expect(imageNames('tool')).toContain('localhost/tool:latest');
    expect(imageNames('registry.example:5000/tool')).toContain('registry.example:5000/tool:latest');
  });
});

describe('the pins of a graph', () => {
  const containers = [
    { kind: 'reference', reference: TOOL },
    { kind: 'reference', reference: TOOL },
    { kind: 'reference', reference: 'unknown' },
    { kind: 'digest', digest: id('d') },
    { kind: 'reference', reference: 'pinned', pins: { amd64: id('p') } },
  ];
  const graph = {
    version: 1,
    jobs: containers.map((container) => ({ container })),
  } as unknown as Graph;

  it('stand beside the reference that the person wrote', () => {
    expect(unpinnedReferences(graph)).toEqual([TOOL, 'unknown']);
    const pins = new Map([
      [TOOL, { amd64: id('a') }],
      ['unknown', {}],
    ]);
    expect(pinGraph(graph, pins).jobs.map(({ container }) => container)).toEqual([
      { kind: 'reference', reference: TOOL, pins: { amd64: id('a') } },
      { kind: 'reference', reference: TOOL, pins: { amd64: id('a') } },
      ...containers.slice(2),
    ]);
  });
});
