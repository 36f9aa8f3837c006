import { OCI_INDEX } from '@podmesh/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { digestOf, indexOf, TestRegistry } from './registry.test-kit.ts';

/** Names are the requirements of the specification, "Pull". */
let registry: TestRegistry;
beforeEach(async () => {
  registry = await TestRegistry.start();
});
afterEach(() => registry.stop());

const BYTES = Buffer.from('0123456789');

describe('GET /v2/', () => {
  it('tells that the specification is implemented', async () => {
    expect((await registry.ask('/v2/')).status).toBe(200);
    expect((await registry.ask('/v2')).status).toBe(200);
    expect((await registry.ask('/v2/', { method: 'HEAD' })).status).toBe(200);
    expect((await registry.ask('/v2/', { method: 'DELETE' })).status).toBe(405);
  });
});

describe('pulling blobs', () => {
  it('GET gives the blob with its digest, HEAD its length', async () => {
    const digest = await registry.pushBlob(BYTES);
    const path = `/v2/me/tool/blobs/${digest}`;
    const got = await registry.ask(path);
    expect(got.status).toBe(200);
    expect(got.body.equals(BYTES)).toBe(true);
    const head = await registry.ask(path, { method: 'HEAD' });
    expect(head.status).toBe(200);
    expect(head.body).toHaveLength(0);
    for (const { headers } of [got, head]) {
      expect(headers['docker-content-digest']).toBe(digest);
      expect(headers['content-length']).toBe('10');
      expect(headers['accept-ranges']).toBe('bytes');
    }
  });

  it('404 for one that is not there', async () => {
    const path = `/v2/me/tool/blobs/${digestOf('nobody')}`;
    const got = await registry.ask(path);
    expect([got.status, ...got.codes]).toEqual([404, 'BLOB_UNKNOWN']);
    expect((await registry.ask(path, { method: 'HEAD' })).status).toBe(404);
  });

  it('404 for a digest of another algorithm: it is well said, and nothing here has it', async () => {
    const sha512 = `sha512:${'0'.repeat(128)}`;
    const blob = await registry.ask(`/v2/me/tool/blobs/${sha512}`);
    expect([blob.status, ...blob.codes]).toEqual([404, 'BLOB_UNKNOWN']);
    const manifest = await registry.ask(`/v2/me/tool/manifests/${sha512}`);
    expect([manifest.status, ...manifest.codes]).toEqual([404, 'MANIFEST_UNKNOWN']);
    const removed = await registry.ask(`/v2/me/tool/manifests/${sha512}`, { method: 'DELETE' });
    expect([removed.status, ...removed.codes]).toEqual([404, 'MANIFEST_UNKNOWN']);
    const wrong = await registry.ask('/v2/me/tool/blobs/sha512');
    expect([wrong.status, ...wrong.codes]).toEqual([400, 'DIGEST_INVALID']);
  });

  it.each([
    ['bytes=0-3', 206, '0123', 'bytes 0-3/10'],
    ['bytes=4-', 206, '456789', 'bytes 4-9/10'],
    ['bytes=-3', 206, '789', 'bytes 7-9/10'],
    ['bytes=-30', 206, '0123456789', 'bytes 0-9/10'],
    ['bytes=8-99', 206, '89', 'bytes 8-9/10'],
    ['bytes=9-9', 206, '9', 'bytes 9-9/10'],
    ['bytes=10-', 416, undefined, 'bytes */10'],
    ['bytes=-0', 416, undefined, 'bytes */10'],
    // What is none, or several, may be ignored (RFC 9110 §14.2).
    ['bytes=5-2', 200, '0123456789', undefined],
    ['bytes=0-1,3-4', 200, '0123456789', undefined],
    ['bytes=-', 200, '0123456789', undefined],
    ['lines=1-2', 200, '0123456789', undefined],
    ['bytes=9999999999999999999-', 200, '0123456789', undefined],
  ])('Range %s: %i', async (range, status, body, contentRange) => {
    const digest = await registry.pushBlob(BYTES);
    const got = await registry.ask(`/v2/me/tool/blobs/${digest}`, { headers: { range } });
    expect(got.status).toBe(status);
    expect(got.headers['content-range']).toBe(contentRange);
    if (body !== undefined) {
      expect(got.body.toString()).toBe(body);
      expect(got.headers['content-length']).toBe(String(body.length));
    }
  });
});

describe('pulling manifests', () => {
  it('by tag and by digest, as it was pushed', async () => {
    const { digest, text } = await registry.pushImage('1');
    for (const reference of ['1', digest]) {
      const path = `/v2/me/tool/manifests/${reference}`;
      const got = await registry.ask(path);
      expect(got.status).toBe(200);
      expect(got.body.toString()).toBe(text);
      const head = await registry.ask(path, { method: 'HEAD' });
      expect([head.status, head.body.length]).toEqual([200, 0]);
      for (const { headers } of [got, head]) {
        expect(headers['content-type']).toBe('application/vnd.oci.image.manifest.v1+json');
        expect(headers['docker-content-digest']).toBe(digest);
        expect(headers['content-length']).toBe(String(text.length));
      }
    }
  });

  it('an index, with the type that it was pushed as', async () => {
    const child = await registry.pushImage(undefined);
    const index = indexOf([child]);
    expect((await registry.put('/v2/me/tool/manifests/multi', index, OCI_INDEX)).status).toBe(201);
    const got = await registry.ask('/v2/me/tool/manifests/multi');
    expect(got.headers['content-type']).toBe(OCI_INDEX);
    expect(got.body.toString()).toBe(index);
  });

  it('404 for a tag, a digest or a repository that is not there', async () => {
    const { digest } = await registry.pushImage('1');
    const paths = [
      '/v2/me/tool/manifests/2',
      `/v2/me/tool/manifests/${digestOf('nobody')}`,
      '/v2/nobody/manifests/1',
      // The same bytes are stored, but not as an image of that repository.
      `/v2/nobody/manifests/${digest}`,
    ];
    for (const path of paths) {
      const got = await registry.ask(path);
      expect([got.status, ...got.codes]).toEqual([404, 'MANIFEST_UNKNOWN']);
      expect((await registry.ask(path, { method: 'HEAD' })).status).toBe(404);
    }
  });

  it('404, and why, when nobody has its bytes any more', async () => {
    const { digest } = await registry.pushImage('1');
    registry.blobs.stored.delete(digest);
    const got = await registry.ask('/v2/me/tool/manifests/1');
    expect([got.status, ...got.codes]).toEqual([404, 'MANIFEST_UNKNOWN']);
    expect(got.message).toContain('no peer that can be reached');
  });
});
