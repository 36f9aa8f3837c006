import { MANIFEST_BYTES_MAX, OCI_INDEX } from '@podmesh/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { digestOf, indexOf, TestRegistry } from './registry.test-kit.ts';
import { UPLOAD_IDLE_MS, UPLOADS_MAX } from './registry-limits.ts';
import { UploadSessions } from './upload-sessions.ts';

/** Names are the requirements of the specification, "Push". */
let registry: TestRegistry;
beforeEach(async () => {
  registry = await TestRegistry.start();
});
afterEach(async () => {
  await registry.stop();
  // Whatever was done, nothing half written is left, and nothing is held.
  expect(registry.blobs.open).toBe(0);
  expect(registry.blobs.held).toBe(0);
});

const POST = { method: 'POST' };
const chunk = (body: string, start: number) => ({
  method: 'PATCH',
  body,
  headers: { 'Content-Range': `${start}-${start + body.length - 1}` },
});

describe('pushing a blob monolithically', () => {
  it('POST, then PUT', async () => {
    const begun = await registry.ask('/v2/me/tool/blobs/uploads/', POST);
    expect(begun.status).toBe(202);
    const place = begun.headers.location ?? '';
    expect(place).toMatch(/^\/v2\/me\/tool\/blobs\/uploads\/[0-9a-f-]{36}$/);
    const digest = digestOf('all');
    const put = await registry.ask(`${place}?digest=${digest}`, { method: 'PUT', body: 'all' });
    expect(put.status).toBe(201);
    expect(put.headers.location).toBe(`/v2/me/tool/blobs/${digest}`);
    expect(put.headers['docker-content-digest']).toBe(digest);
    expect((await registry.ask(put.headers.location ?? '')).body.toString()).toBe('all');
    // It is over.
    expect((await registry.ask(place)).codes).toEqual(['BLOB_UPLOAD_UNKNOWN']);
  });

  it('a single POST, also of nothing at all', async () => {
    for (const body of ['one', '']) {
      const path = `/v2/me/tool/blobs/uploads/?digest=${digestOf(body)}`;
      const posted = await registry.ask(path, { ...POST, body });
      expect(posted.status).toBe(201);
      const got = await registry.ask(posted.headers.location ?? '');
      expect([got.status, got.body.toString()]).toEqual([200, body]);
    }
  });

  it.each([
    ['of other bytes', digestOf('other')],
    ['that is none', 'sha256:xyz'],
    ['of another algorithm', `sha512:${'0'.repeat(128)}`],
  ])('400 for a digest %s, and nothing is stored', async (_, digest) => {
    const before = registry.blobs.stored.size;
    const path = `/v2/me/tool/blobs/uploads/?digest=${digest}`;
    const posted = await registry.ask(path, { ...POST, body: 'all' });
    expect([posted.status, ...posted.codes]).toEqual([400, 'DIGEST_INVALID']);
    const place = await registry.begin();
    const put = await registry.ask(`${place}?digest=${digest}`, { method: 'PUT', body: 'all' });
    expect([put.status, ...put.codes]).toEqual([400, 'DIGEST_INVALID']);
    expect(registry.blobs.stored.size).toBe(before);
  });

  it('400 for another digest-algorithm, and for a PUT without a digest', async () => {
    const posted = await registry.ask('/v2/me/tool/blobs/uploads/?digest-algorithm=sha512', POST);
    expect([posted.status, ...posted.codes]).toEqual([400, 'DIGEST_INVALID']);
    const put = await registry.ask(await registry.begin(), { method: 'PUT', body: 'all' });
    expect([put.status, ...put.codes]).toEqual([400, 'DIGEST_INVALID']);
  });
});

describe('pushing a blob in chunks', () => {
  it('in order, with the last in a PATCH or in the PUT', async () => {
    for (const last of ['', 'ghi']) {
      const place = await registry.begin();
      const one = await registry.ask(place, chunk('abc', 0));
      expect([one.status, one.headers.range]).toEqual([202, '0-2']);
      const two = await registry.ask(one.headers.location ?? '', chunk('def', 3));
      expect([two.status, two.headers.range]).toEqual([202, '0-5']);
      const status = await registry.ask(place);
      expect([status.status, status.headers.range]).toEqual([204, '0-5']);
      expect(status.headers.location).toBe(place);
      const whole = `abcdef${last}`;
      const closing = { ...chunk(last, 6), method: 'PUT' };
      const bare = { method: 'PUT' };
      const path = `${place}?digest=${digestOf(whole)}`;
      expect((await registry.ask(path, last === '' ? bare : closing)).status).toBe(201);
      const got = await registry.ask(`/v2/me/tool/blobs/${digestOf(whole)}`);
      expect(got.body.toString()).toBe(whole);
    }
  });

  it('a stream without Content-Range', async () => {
    const place = await registry.begin();
    const sent = {
      method: 'PATCH',
      body: 'all of it',
      headers: { 'Transfer-Encoding': 'chunked' },
    };
    expect((await registry.ask(place, sent)).status).toBe(202);
    const path = `${place}?digest=${digestOf('all of it')}`;
    expect((await registry.ask(path, { method: 'PUT' })).status).toBe(201);
  });

  it('416 for a chunk out of order, with where it stands; the upload goes on', async () => {
    const place = await registry.begin();
    const early = await registry.ask(place, chunk('def', 3));
    expect([early.status, ...early.codes]).toEqual([416, 'BLOB_UPLOAD_INVALID']);
    expect((await registry.ask(place, chunk('abc', 0))).status).toBe(202);
    const again = await registry.ask(place, chunk('abc', 0));
    expect([again.status, again.headers.range, again.headers.location]).toEqual([
      416,
      '0-2',
      place,
    ]);
    const path = `${place}?digest=${digestOf('abcdef')}`;
    const wrong = await registry.ask(path, { ...chunk('def', 4), method: 'PUT' });
    expect(wrong.status).toBe(416);
    expect((await registry.ask(path, { ...chunk('def', 3), method: 'PUT' })).status).toBe(201);
  });

  it.each(['x', '5', '-3', '3-1', '0-', 'bytes 0-x/9', '0-99999999999999999999', '0-1,2-3'])(
    '416 for the Content-Range %s',
    async (range) => {
      const place = await registry.begin();
      const sent = { method: 'PATCH', body: 'ab', headers: { 'Content-Range': range } };
      const answer = await registry.ask(place, sent);
      expect([answer.status, ...answer.codes]).toEqual([416, 'BLOB_UPLOAD_INVALID']);
      expect((await registry.ask(place)).status).toBe(204);
    },
  );

  it('400 for a Content-Range of another length than the body', async () => {
    const sent = { method: 'PATCH', body: 'abc', headers: { 'Content-Range': '0-9' } };
    const told = await registry.ask(await registry.begin(), sent);
    expect([told.status, ...told.codes]).toEqual([400, 'SIZE_INVALID']);
    const headers = { 'Content-Range': '0-9', 'Transfer-Encoding': 'chunked' };
    const place = await registry.begin();
    const found = await registry.ask(place, { ...sent, headers });
    expect([found.status, ...found.codes]).toEqual([400, 'SIZE_INVALID']);
    // What was written cannot be taken back out of its hash.
    expect((await registry.ask(place)).status).toBe(404);
  });

  it('DELETE cancels', async () => {
    const place = await registry.begin();
    await registry.ask(place, chunk('abc', 0));
    expect((await registry.ask(place, { method: 'DELETE' })).status).toBe(204);
    expect(registry.blobs.open).toBe(0);
    for (const method of ['GET', 'DELETE', 'PATCH', 'PUT']) {
      const answer = await registry.ask(`${place}?digest=${digestOf('abc')}`, { method });
      expect([answer.status, ...answer.codes]).toEqual([404, 'BLOB_UPLOAD_UNKNOWN']);
    }
  });

  it('404 for an upload of another repository, or of nobody', async () => {
    const place = await registry.begin('me/tool');
    const other = place.replace('me/tool', 'me/other');
    expect((await registry.ask(other)).codes).toEqual(['BLOB_UPLOAD_UNKNOWN']);
    expect((await registry.ask(`${place}x`)).codes).toEqual(['BLOB_UPLOAD_UNKNOWN']);
  });

  it('an upload that is left alone is given up, one that is not goes on', async () => {
    const [left, kept] = [await registry.begin(), await registry.begin()];
    registry.nowMs = UPLOAD_IDLE_MS - 1;
    await registry.ask(kept, chunk('abc', 0));
    registry.nowMs = UPLOAD_IDLE_MS + 1;
    const other = await registry.begin();
    expect((await registry.ask(left)).codes).toEqual(['BLOB_UPLOAD_UNKNOWN']);
    expect((await registry.ask(kept)).status).toBe(204);
    expect((await registry.ask(other)).status).toBe(204);
  });

  it('makes room for another by giving up the one that was left alone the longest', async () => {
    const [first, second] = [await registry.begin(), await registry.begin()];
    for (let begun = 2; begun < UPLOADS_MAX; begun += 1) await registry.begin();
    registry.nowMs = 1;
    await registry.ask(first, chunk('abc', 0));
    const another = await registry.begin();
    expect((await registry.ask(second)).codes).toEqual(['BLOB_UPLOAD_UNKNOWN']);
    expect((await registry.ask(first)).headers.range).toBe('0-2');
    expect((await registry.ask(another)).status).toBe(204);
    expect(registry.blobs.open).toBe(UPLOADS_MAX);
  });

  it('429 while each of as many as there may be is written to', async () => {
    const sessions = new UploadSessions({ blobs: registry.blobs, nowMs: () => 0 });
    let finish = (): void => undefined;
    const written = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const uses: Promise<void>[] = [];
    for (let begun = 0; begun < UPLOADS_MAX; begun += 1) {
      const session = await sessions.begin('me/tool');
      uses.push(sessions.use(session, () => written));
    }
    await expect(sessions.begin('me/tool')).rejects.toMatchObject({
      status: 429,
      code: 'TOOMANYREQUESTS',
      headers: { 'Retry-After': '5' },
    });
    finish();
    await Promise.all(uses);
    expect(await sessions.begin('me/tool')).toMatchObject({ isBusy: false });
    await sessions.endAll();
  });

  it('a full disk is named, nothing is left, and the next push works', async () => {
    registry.blobs.bytesMax = 5;
    const place = await registry.begin();
    const answer = await registry.ask(place, chunk('abcdef', 0));
    expect([answer.status, ...answer.codes]).toEqual([413, 'DENIED']);
    expect(answer.message).toContain('disk /mnt (/dev/sdz) is full');
    expect(registry.blobs.open).toBe(0);
    expect(registry.troubles).toEqual([]);
    registry.blobs.bytesMax = 100;
    await registry.pushBlob('abcdef');
  });
});

describe('a client that still sends when it is refused', () => {
  const large = Buffer.alloc(32 * 2 ** 20, 'x');

  it('reads why: a full disk, a digest, a manifest that is too large, a page in a browser', async () => {
    registry.blobs.bytesMax = 5;
    const place = await registry.begin();
    const full = await registry.ask(place, { method: 'PATCH', body: large });
    expect([full.status, ...full.codes]).toEqual([413, 'DENIED']);
    const path = '/v2/me/tool/blobs/uploads/?digest=sha256:no';
    const digest = await registry.ask(path, { ...POST, body: large });
    expect([digest.status, ...digest.codes]).toEqual([400, 'DIGEST_INVALID']);
    const manifest = { method: 'PUT', body: large, headers: { 'Transfer-Encoding': 'chunked' } };
    const told = await registry.ask('/v2/me/tool/manifests/1', manifest);
    expect([told.status, ...told.codes]).toEqual([413, 'SIZE_INVALID']);
    const page = await registry.ask(path, { ...POST, body: large, headers: { Origin: 'null' } });
    expect([page.status, ...page.codes]).toEqual([403, 'DENIED']);
    expect(registry.troubles).toEqual([]);
  });
});

describe('mounting a blob', () => {
  it('201 for one that is there, whichever repository has it; 202 for another', async () => {
    const digest = await registry.pushBlob('all', 'one');
    for (const from of ['&from=one', '&from=nobody', '']) {
      const path = `/v2/two/blobs/uploads/?mount=${digest}${from}`;
      const mounted = await registry.ask(path, POST);
      expect([mounted.status, mounted.headers.location]).toEqual([201, `/v2/two/blobs/${digest}`]);
    }
    for (const unknown of [digestOf('nobody'), 'sha256:no', `sha512:${'0'.repeat(128)}`]) {
      const path = `/v2/two/blobs/uploads/?mount=${unknown}&from=one`;
      const begun = await registry.ask(path, POST);
      expect(begun.status).toBe(202);
      expect((await registry.ask(begun.headers.location ?? '')).status).toBe(204);
    }
  });
});

describe('pushing manifests', () => {
  it('201 with where it is; its parts and itself are shared with the mesh', async () => {
    const text = JSON.stringify(await registry.newManifest());
    const put = await registry.put('/v2/me/tool/manifests/1.0', text);
    const digest = digestOf(text);
    expect([put.status, put.headers.location]).toEqual([201, `/v2/me/tool/manifests/${digest}`]);
    expect(put.headers['docker-content-digest']).toBe(digest);
    expect(registry.blobs.shared.size).toBe(3);
    expect(registry.changes).toBe(1);
    const record = await registry.tags.find('me/tool', '1.0');
    expect(record).toMatchObject({ digest, bytes: text.length, by: 'alice' });
  });

  it('by digest with many tags', async () => {
    const text = JSON.stringify(await registry.newManifest());
    const tags = Array.from({ length: 10 }, (_, index) => `t${index}`);
    const query = tags.map((tag) => `tag=${tag}`).join('&');
    const put = await registry.put(`/v2/me/tool/manifests/${digestOf(text)}?${query}`, text);
    expect([put.status, put.headers['oci-tag']]).toEqual([201, tags.join(', ')]);
    for (const tag of tags) {
      expect((await registry.ask(`/v2/me/tool/manifests/${tag}`)).body.toString()).toBe(text);
    }
  });

  it('a tag that is pushed again moves; what it was is found by its digest', async () => {
    const one = await registry.pushImage('x');
    const two = await registry.pushImage('x');
    const got = await registry.ask('/v2/me/tool/manifests/x');
    expect(got.headers['docker-content-digest']).toBe(two.digest);
    expect((await registry.ask(`/v2/me/tool/manifests/${one.digest}`)).status).toBe(200);
    const history = await registry.tags.history('me/tool', 'x');
    expect(history.map(({ record }) => record?.digest)).toEqual([one.digest, two.digest]);
  });

  it('one tag pushed by many at the same time is one of theirs, whole', async () => {
    const texts = await Promise.all(
      Array.from({ length: 5 }, async () => JSON.stringify(await registry.newManifest())),
    );
    const puts = await Promise.all(
      texts.map((text) => registry.put('/v2/me/tool/manifests/x', text)),
    );
    expect(puts.map(({ status }) => status)).toEqual([201, 201, 201, 201, 201]);
    expect(texts).toContain((await registry.ask('/v2/me/tool/manifests/x')).body.toString());
  });

  it('MANIFEST_BLOB_UNKNOWN for parts that nobody has, and nothing is tagged', async () => {
    const manifest = await registry.newManifest();
    const layers = [{ ...manifest.layers[0], digest: digestOf('nobody') }];
    const put = await registry.put(
      '/v2/me/tool/manifests/1',
      JSON.stringify({ ...manifest, layers }),
    );
    expect([put.status, ...put.codes]).toEqual([400, 'MANIFEST_BLOB_UNKNOWN']);
    expect(put.message).toContain(digestOf('nobody'));
    const child = { digest: digestOf('no manifest'), text: 'x' };
    const index = await registry.put('/v2/me/tool/manifests/1', indexOf([child]), OCI_INDEX);
    expect([index.status, ...index.codes]).toEqual([400, 'MANIFEST_BLOB_UNKNOWN']);
    expect((await registry.ask('/v2/me/tool/manifests/1')).status).toBe(404);
  });

  it('layers that come from elsewhere by design need not be there', async () => {
    const manifest = await registry.newManifest();
    const foreign = { ...manifest.layers[0], digest: digestOf('far'), urls: ['https://far/away'] };
    const text = JSON.stringify({ ...manifest, layers: [...manifest.layers, foreign] });
    expect((await registry.put('/v2/me/tool/manifests/1', text)).status).toBe(201);
  });

  it('DIGEST_INVALID when it is not what it is called', async () => {
    const text = JSON.stringify(await registry.newManifest());
    const put = await registry.put(`/v2/me/tool/manifests/${digestOf('other')}`, text);
    expect([put.status, ...put.codes]).toEqual([400, 'DIGEST_INVALID']);
    const other = await registry.put(`/v2/me/tool/manifests/sha512:${'0'.repeat(128)}`, text);
    expect([other.status, ...other.codes]).toEqual([400, 'DIGEST_INVALID']);
  });

  it.each([
    ['no JSON', '{'],
    ['no object', '[]'],
    ['nothing', ''],
    ['the first schema', '{"schemaVersion":1,"name":"x"}'],
    ['an image without a config', '{"schemaVersion":2}'],
    ['a config without a digest', '{"schemaVersion":2,"config":{"size":1}}'],
    [
      'a digest of another algorithm',
      `{"schemaVersion":2,"config":{"digest":"sha512:${'0'.repeat(128)}","size":1}}`,
    ],
    ['a size below nothing', `{"schemaVersion":2,"config":{"digest":"${digestOf('')}","size":-1}}`],
    [
      'layers that are no list',
      `{"schemaVersion":2,"config":{"digest":"${digestOf('')}","size":0},"layers":{}}`,
    ],
    ['another type than it was sent as', '{"schemaVersion":2,"mediaType":"application/x"}'],
    ['a type that is none', '{"schemaVersion":2,"mediaType":7}'],
  ])('MANIFEST_INVALID for %s', async (_, text) => {
    const put = await registry.put('/v2/me/tool/manifests/1', text);
    expect([put.status, ...put.codes]).toEqual([400, 'MANIFEST_INVALID']);
  });

  it('MANIFEST_INVALID for a size that a part does not have', async () => {
    const manifest = await registry.newManifest();
    const text = JSON.stringify({ ...manifest, config: { ...manifest.config, size: 1 } });
    const put = await registry.put('/v2/me/tool/manifests/1', text);
    expect([put.status, ...put.codes]).toEqual([400, 'MANIFEST_INVALID']);
  });

  it('without a Content-Type it is what it says of itself; parameters are ignored', async () => {
    const text = JSON.stringify(await registry.newManifest());
    expect((await registry.put('/v2/me/tool/manifests/1', text, '')).status).toBe(201);
    const type = 'application/vnd.oci.image.manifest.v1+json; charset=utf-8';
    expect((await registry.put('/v2/me/tool/manifests/2', text, type)).status).toBe(201);
    const got = await registry.ask('/v2/me/tool/manifests/2');
    expect(got.headers['content-type']).toBe('application/vnd.oci.image.manifest.v1+json');
  });

  it('takes one of 4 MiB, and 413 for a larger one, told or not', async () => {
    const manifest = await registry.newManifest();
    const bare = JSON.stringify({ ...manifest, annotations: { filler: '' } });
    const filler = 'x'.repeat(MANIFEST_BYTES_MAX - bare.length);
    const largest = JSON.stringify({ ...manifest, annotations: { filler } });
    expect(largest).toHaveLength(MANIFEST_BYTES_MAX);
    expect((await registry.put('/v2/me/tool/manifests/1', largest)).status).toBe(201);
    const path = '/v2/me/tool/manifests/2';
    const told = await registry.put(path, `${largest} `);
    expect([told.status, ...told.codes]).toEqual([413, 'SIZE_INVALID']);
    const headers = { 'Transfer-Encoding': 'chunked' };
    const found = await registry.ask(path, { method: 'PUT', body: `${largest} `, headers });
    expect([found.status, ...found.codes]).toEqual([413, 'SIZE_INVALID']);
  });
});
