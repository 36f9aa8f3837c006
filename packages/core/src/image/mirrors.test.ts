import { describe, expect, it } from 'vitest';
import { meshReferenceText } from './mesh-reference.ts';
import { mirrorClaimName, mirroredReference, parseMirror, upstreamOf } from './mirrors.ts';

describe('a registry that may be asked', () => {
  it.each([
    ['docker.io', 'docker.io', 'docker.io'],
    ['quay.io=quay', 'quay.io', 'quay'],
    ['localhost:5000', 'localhost:5000', 'localhost_5000'],
    ['[::1]:5000=here/it', '[::1]:5000', 'here/it'],
  ])('%s', (text, host, prefix) => {
    expect(parseMirror(text)).toEqual({ host, prefix });
  });

  it.each([
    '',
    '=x',
    'https://docker.io',
    'docker.io/library',
    'docker.io=',
    'docker.io=A',
    'a=b=c',
    '-a',
    'a b',
  ])('%j is none', (text) => {
    expect(parseMirror(text)).toBeUndefined();
  });

  const mirrors = ['docker.io', 'quay.io=quay'].flatMap((text) => parseMirror(text) ?? []);

  it.each([
    ['docker.io/library/debian:13', 'mesh/docker.io/library/debian:13'],
    ['docker.io/debian', 'mesh/docker.io/library/debian:latest'],
    ['quay.io/me/tool:1', 'mesh/quay/me/tool:1'],
    ['ghcr.io/me/tool:1', undefined],
    ['debian:13', undefined],
    ['mesh/quay/me/tool', undefined],
    ['quay.io/Me/tool', undefined],
  ])('%s is %s', (text, meant) => {
    const found = mirroredReference(text, mirrors);
    expect(found === undefined ? undefined : meshReferenceText(found)).toBe(meant);
  });

  it('is known by what its repositories begin with, whole', () => {
    expect(upstreamOf('quay/me/tool', mirrors)).toEqual({ host: 'quay.io', repository: 'me/tool' });
    expect(upstreamOf('quays/me/tool', mirrors)).toBeUndefined();
    expect(upstreamOf('quay', mirrors)).toBeUndefined();
    expect(upstreamOf('me/tool', [])).toBeUndefined();
  });

  it('is claimed by image', () => {
    expect(mirrorClaimName('quay/me/tool', '1.0')).toBe('quay/me/tool@1.0');
    expect(() => mirrorClaimName('Quay', '1.0')).toThrow(TypeError);
  });
});
