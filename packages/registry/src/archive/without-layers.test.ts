import { DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST } from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import { idOf } from './archive.test-kit.ts';
import { withoutLayers } from './without-layers.ts';

const [base, added] = [idOf('base'), idOf('added')];
const [sentBase, sentAdded] = [idOf('base, compressed'), idOf('added, compressed')];
const layer = (digest: string) => ({ mediaType: 'compressed', size: 1, digest });
const manifest = JSON.stringify({
  schemaVersion: 2,
  config: layer(idOf('config')),
  layers: [layer(sentBase), layer(sentAdded)],
  annotations: { stays: 'here' },
});
const config = JSON.stringify({ rootfs: { diff_ids: [base, added] } });

describe('a manifest for a runtime that has some of the layers', () => {
  it.each([
    [OCI_MANIFEST, 'application/vnd.oci.image.layer.v1.tar'],
    [DOCKER_MANIFEST, 'application/vnd.docker.image.rootfs.diff.tar'],
  ])('names those as the runtime does (%s)', (mediaType, plain) => {
    const told = withoutLayers({ manifest, config }, mediaType, new Map([[base, 77]]));
    expect(JSON.parse(String(told?.text))).toEqual({
      schemaVersion: 2,
      mediaType,
      config: layer(idOf('config')),
      layers: [{ mediaType: plain, size: 77, digest: base }, layer(sentAdded)],
      annotations: { stays: 'here' },
    });
    expect([...(told?.spared ?? [])]).toEqual([sentBase]);
    const { digest, bytes } = told?.record ?? {};
    expect([digest, bytes]).toEqual([idOf(told?.text ?? ''), told?.text.length]);
  });

  it('is none where it has none, or nobody can tell', () => {
    const local = new Map([[base, 77]]);
    const told = (changes: { manifest?: string; config?: string }, type = OCI_MANIFEST) =>
      withoutLayers({ manifest, config, ...changes }, type, local);
    expect(withoutLayers({ manifest, config }, OCI_MANIFEST, new Map([['x', 1]]))).toBeUndefined();
    expect(told({}, OCI_INDEX)).toBeUndefined();
    expect(told({ config: '{' })).toBeUndefined();
    expect(told({ config: '{"rootfs":{"diff_ids":"x"}}' })).toBeUndefined();
    expect(told({ config: `{"rootfs":{"diff_ids":["${base}"]}}` })).toBeUndefined();
    expect(told({ manifest: 'null' })).toBeUndefined();
    expect(told({ manifest: '{"layers":[null,7]}' })).toBeUndefined();
  });
});
