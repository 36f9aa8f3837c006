import { describe, expect, it } from 'vitest';
import { isRepository, isTag, meshReferenceText, parseMeshReference } from './mesh-reference.ts';

const DIGEST = `sha256:${'a'.repeat(64)}`;

describe('the name of an image of the mesh', () => {
  it.each([
    ['mesh/me/tool:1', 'mesh/me/tool:1'],
    ['mesh/tool', 'mesh/tool:latest'],
    ['localhost:5055/me/tool:1', 'mesh/me/tool:1'],
    ['127.0.0.1:5055/me/tool', 'mesh/me/tool:latest'],
    ['[::1]:5055/me/tool:1', 'mesh/me/tool:1'],
    ['localhost:4711/me/tool:1', 'mesh/me/tool:1'],
    [`mesh/me/tool@${DIGEST}`, `mesh/me/tool@${DIGEST}`],
    [`mesh/me/tool:1@${DIGEST}`, `mesh/me/tool:1@${DIGEST}`],
  ])('%s is %s', (said, meant) => {
    const parsed = parseMeshReference(said, 4711);
    expect(parsed === undefined ? undefined : meshReferenceText(parsed)).toBe(meant);
  });

  it.each([
    'tool:1',
    'localhost/tool:1',
    'localhost:5000/me/tool:1',
    'docker.io/mesh/tool:1',
    'meshed/tool:1',
    'mesh/',
    'mesh/Me/tool:1',
    'mesh/../tool:1',
    'mesh/me/tool:',
    'mesh/me/tool:a:b',
    'mesh/me/tool@sha256:short',
    `mesh/me/tool@${DIGEST}@${DIGEST}`,
    'mesh.example/me/tool:1',
    '',
  ])('%s is none', (said) => {
    expect(parseMeshReference(said)).toBeUndefined();
  });
});

describe('repositories and tags', () => {
  it.each(['a', 'a/b/c', 'a-b', 'a--b', 'a__b', 'a.b_c/d', '0'])('%s is a repository', (name) => {
    expect(isRepository(name)).toBe(true);
  });

  it.each([
    '',
    '/',
    'a/',
    '/a',
    'a//b',
    'A',
    'a___b',
    'a..b',
    '-a',
    'a-',
    'a b',
    'ä',
    'a'.repeat(230),
  ])('%s is none', (name) => {
    expect(isRepository(name)).toBe(false);
  });

  it('a name made to be slow is judged at once', () => {
    const fromMs = performance.now();
    expect(isRepository(`${'a-'.repeat(114)}!`)).toBe(false);
    expect(isRepository(`${'-'.repeat(228)}a`)).toBe(false);
    expect(isRepository(`a${'-'.repeat(227)}`)).toBe(false);
    expect(performance.now() - fromMs).toBeLessThan(1_000);
  });

  it('tags have letters, digits and a few signs, and do not begin with those', () => {
    expect(['1', 'v1.0-rc_2', '_x', 'A'.repeat(128)].map(isTag)).toEqual([true, true, true, true]);
    expect(['', '.x', '-x', 'a/b', 'a:b', 'A'.repeat(129)].some(isTag)).toBe(false);
  });
});
