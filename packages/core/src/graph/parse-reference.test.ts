import { describe, expect, test } from 'vitest';
import { parseContainerRef, parseInputRef, parseOutputRef } from './parse-reference.ts';

const DIGEST = `sha256:${'0f'.repeat(32)}`;

describe('containers', () => {
  test.each([
    'debian',
    'debian:12',
    'docker.io/library/debian:12-slim',
    'localhost:5000/a/b__c/d--e.f:Tag_1',
    `quay.io/x/y:1@${DIGEST}`,
    `[::1]:5000/tool@${DIGEST}`,
    'localhost/tool:1',
  ])('%s is an image reference', (reference) => {
    expect(parseContainerRef(reference)).toEqual({
      ok: true,
      value: { kind: 'reference', reference },
    });
  });

  test.each([
    '',
    ' debian',
    'debian:',
    'Debian',
    'a//b',
    'a/',
    '/a',
    'a:b:c',
    'a@sha256:1',
    '-a',
    'a\n',
  ])('%j is none', (text) => {
    expect(parseContainerRef(text).ok).toBe(false);
  });

  test('a long run of separators is refused without backtracking for ever', () => {
    expect(parseContainerRef(`${'a-'.repeat(250)}!`).ok).toBe(false);
  });
});

describe('inputs', () => {
  test.each([
    [DIGEST, { kind: 'artifact', artifact: DIGEST }],
    ['file:a b/../c.csv', { kind: 'file', path: 'a b/../c.csv' }],
    ['jobs:j/out', { kind: 'output', job: 'j', output: 'out' }],
    ['jobs:j:007/a.b', { kind: 'output', job: 'j', output: 'a.b', index: 7 }],
  ])('%s', (text, value) => {
    expect(parseInputRef(text)).toEqual({ ok: true, value });
  });

  test.each([
    'jobs:',
    'jobs:/o',
    'jobs:a/',
    'jobs:a:/o',
    'jobs:a:-1/o',
    'jobs:a:b/o',
    'jobs:a:12345678/o',
  ])('%s names no output', (text) => {
    expect(parseInputRef(text).ok).toBe(false);
  });
});

describe('outputs', () => {
  test.each([
    ['file:/a//b/./c', { kind: 'file', path: '/a/b/c' }],
    ['dir:/a/', { kind: 'dir', path: '/a' }],
    ['dir:/input', { kind: 'dir', path: '/input' }],
    ['file:/run/podmesher', { kind: 'file', path: '/run/podmesher' }],
    ['fd:0', { kind: 'fd', fd: 1 }],
    ['fd:63', { kind: 'fd', fd: 63 }],
  ])('%s', (text, value) => {
    expect(parseOutputRef(text)).toEqual({ ok: true, value });
  });

  test.each(['fd:', 'fd:-1', 'fd:1.5', 'fd:64', 'dir:', 'file:/in/x', 'dir:/proc', 'file:/a\0b'])(
    '%j is refused',
    (text) => {
      expect(parseOutputRef(text).ok).toBe(false);
    },
  );
});
