import { describe, expect, it } from 'vitest';
import { manifestFor, OCI_INDEX, OCI_MANIFEST, parseManifest, partsOf } from './image-manifest.ts';

const digest = (digit: string) => `sha256:${digit.repeat(64)}`;
const part = (digit: string, size = 1) => ({ digest: digest(digit), size, mediaType: 'a/b' });
const DOCKER = 'application/vnd.docker.distribution.manifest.v2+json';

const parse = (said: object, type?: string) => {
  const parsed = parseManifest(JSON.stringify({ schemaVersion: 2, ...said }), type);
  return parsed.ok ? parsed.value : parsed.error;
};

describe('reading a manifest', () => {
  it('an image: its config and layers, each once', () => {
    const found = parse({ config: part('a'), layers: [part('b', 7), part('b', 7), part('c')] });
    if (typeof found === 'string') throw new Error(found);
    expect(found.mediaType).toBe(OCI_MANIFEST);
    expect(partsOf(found).map(({ digest, bytes }) => [digest[7], bytes])).toEqual([
      ['a', 1],
      ['b', 7],
      ['c', 1],
    ]);
  });

  it('an index: the image for a platform', () => {
    const platform = (architecture: string, os = 'linux') => ({ os, architecture });
    const manifests = [
      { ...part('a'), platform: platform('amd64', 'windows') },
      { ...part('b'), platform: platform('unknown', 'unknown') },
      { ...part('c'), platform: platform('amd64') },
      part('d'),
    ];
    const found = parse({ mediaType: OCI_INDEX, manifests });
    if (typeof found === 'string') throw new Error(found);
    expect(manifestFor(found, 'amd64')?.digest).toBe(digest('c'));
    expect(manifestFor(found, 'arm64')).toBeUndefined();
    expect(partsOf(found)).toEqual([]);
  });

  it('is what it says of itself, what it was sent as, or what it looks like', () => {
    const type = (said: object, sent?: string) => {
      const found = parse(said, sent);
      return typeof found === 'string' ? found : found.mediaType;
    };
    expect(type({ config: part('a') }, DOCKER)).toBe(DOCKER);
    expect(type({ config: part('a'), mediaType: DOCKER })).toBe(DOCKER);
    expect(type({ manifests: [] })).toBe(OCI_INDEX);
    expect(type({ config: part('a'), mediaType: DOCKER }, OCI_MANIFEST)).toContain('was sent as');
    expect(type({ config: part('a') }, 'nonsense\n')).toContain('media type');
    expect(type({}, OCI_MANIFEST)).toContain('without a config');
    expect(type({}, OCI_INDEX)).toContain('without a list');
  });

  it('has its subject, type and annotations, as far as they are such', () => {
    const annotations = { a: 'b', c: 7 };
    const found = parse({
      config: part('a'),
      subject: part('b'),
      artifactType: 'x/y',
      annotations,
    });
    expect(found).toMatchObject({
      subject: digest('b'),
      artifactType: 'x/y',
      annotations: { a: 'b' },
    });
  });

  it.each(['{', '7', 'null', '[]', '"x"', '{"schemaVersion":1}', '{"schemaVersion":"2"}'])(
    'refuses %s',
    (text) => {
      expect(parseManifest(text, undefined).ok).toBe(false);
    },
  );

  it('refuses lists that are none or too long, and things that are no parts', () => {
    const config = part('a');
    for (const layers of [{}, 'x', [null], [7], Array.from({ length: 10_001 }, () => part('b'))]) {
      expect(parse({ config, layers })).toEqual(expect.any(String));
    }
    expect(parse({ config: { ...config, size: 1.5 } })).toContain('size');
    expect(parse({ config: { ...config, digest: 'sha256:../../x' } })).toContain('digest');
  });

  it('refuses what is nested beyond all measure', () => {
    const deep = `${'['.repeat(200_000)}${']'.repeat(200_000)}`;
    const text = `{"schemaVersion":2,"config":{"digest":${deep}}}`;
    expect(parseManifest(text, undefined)).toMatchObject({
      error: 'its config name no sha256 digest: object',
    });
  });
});
