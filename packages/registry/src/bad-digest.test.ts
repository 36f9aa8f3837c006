import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { digestOf, TestRegistry } from './registry.test-kit.ts';

/** Names are those of the conformance program of the specification (`conformance/run.go`, "bad digest", "invalid-digest-format"). */
let registry: TestRegistry;
beforeEach(async () => {
  registry = await TestRegistry.start();
});
afterEach(async () => {
  await registry.stop();
  expect([registry.blobs.open, registry.blobs.held]).toEqual([0, 0]);
});

const UPLOADS = '/v2/me/tool/blobs/uploads/';
const WRONG = digestOf('abcdef');
const range = (start: number, end: number) => ({ 'Content-Range': `${start}-${end}` });

/** Every way in which six bytes can come, to be called by the digest of six others. */
const WAYS = {
  'post only': () => registry.ask(`${UPLOADS}?digest=${WRONG}`, { method: 'POST', body: 'oh no!' }),
  'post+put': async () => {
    const place = await registry.begin();
    return registry.ask(`${place}?digest=${WRONG}`, { method: 'PUT', body: 'oh no!' });
  },
  chunked: async () => {
    const place = await registry.begin();
    await registry.ask(place, { method: 'PATCH', body: 'oh ', headers: range(0, 2) });
    await registry.ask(place, { method: 'PATCH', body: 'no!', headers: range(3, 5) });
    return registry.ask(`${place}?digest=${WRONG}`, { method: 'PUT' });
  },
  'chunked and put chunk': async () => {
    const place = await registry.begin();
    await registry.ask(place, { method: 'PATCH', body: 'oh ', headers: range(0, 2) });
    const last = { method: 'PUT', body: 'no!', headers: range(3, 5) };
    return registry.ask(`${place}?digest=${WRONG}`, last);
  },
  stream: async () => {
    const place = await registry.begin();
    await registry.ask(place, { method: 'PATCH', body: 'oh no!' });
    return registry.ask(`${place}?digest=${WRONG}`, { method: 'PUT' });
  },
};

describe('bad digest', () => {
  it.each(Object.keys(WAYS) as (keyof typeof WAYS)[])('%s', async (way) => {
    const { status, codes } = await WAYS[way]();
    expect([status, ...codes]).toEqual([400, 'DIGEST_INVALID']);
    for (const digest of [WRONG, digestOf('oh no!')])
      expect((await registry.ask(`/v2/me/tool/blobs/${digest}`)).status).toBe(404);
  });
});

describe('invalid-digest-format', () => {
  it.each(['sha256:baddigeststring', `sha256:${'A'.repeat(64)}`, `md5:${'0'.repeat(32)}`])(
    'manifest-put and manifest-get of %s',
    async (digest) => {
      const path = `/v2/me/tool/manifests/${digest}`;
      const put = await registry.put(path, JSON.stringify(await registry.newManifest()));
      expect(put.status).toBe(400);
      const got = await registry.ask(path);
      expect([400, 404]).toContain(got.status);
    },
  );
});

describe('head', () => {
  it('manifest-head-by-digest and manifest-head-by-tag tell what a GET does, without the bytes', async () => {
    const { digest } = await registry.pushImage('x');
    for (const name of [digest, 'x']) {
      const path = `/v2/me/tool/manifests/${name}`;
      const [head, get] = [await registry.ask(path, { method: 'HEAD' }), await registry.ask(path)];
      expect([head.status, head.body.length]).toEqual([200, 0]);
      for (const header of ['content-length', 'content-type', 'docker-content-digest'] as const)
        expect(head.headers[header]).toBe(get.headers[header]);
    }
    const missing = await registry.ask('/v2/me/tool/manifests/y', { method: 'HEAD' });
    expect([missing.status, missing.body.length]).toEqual([404, 0]);
  });
});
