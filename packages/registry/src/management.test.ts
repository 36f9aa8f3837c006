import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { OCI_INDEX, PortError } from '@podmesh/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { digestOf, TestRegistry } from './registry.test-kit.ts';
import { REFERRERS_PER_PAGE_MAX } from './registry-limits.ts';
import { RegistryServer } from './registry-server.ts';

/** Names are the requirements of the specification, "Content Discovery" and "Content Management". */
let registry: TestRegistry;
beforeEach(async () => {
  registry = await TestRegistry.start();
});
afterEach(() => registry.stop());

const listOf = (body: Buffer) => JSON.parse(body.toString()) as { name: string; tags: string[] };
const DELETE = { method: 'DELETE' };

describe('listing tags', () => {
  it('in the order of their characters, in pages', async () => {
    const { text, digest } = await registry.pushImage('b');
    const query = ['a', 'C', 'd', '_e'].map((tag) => `tag=${tag}`).join('&');
    await registry.put(`/v2/me/tool/manifests/${digest}?${query}`, text);
    const path = '/v2/me/tool/tags/list';
    const all = await registry.ask(path);
    expect([all.status, all.headers.link]).toEqual([200, undefined]);
    expect(listOf(all.body)).toEqual({ name: 'me/tool', tags: ['C', '_e', 'a', 'b', 'd'] });
    const first = await registry.ask(`${path}?n=2`);
    expect(listOf(first.body).tags).toEqual(['C', '_e']);
    expect(first.headers.link).toBe('</v2/me/tool/tags/list?n=2&last=_e>; rel="next"');
    const second = await registry.ask(`${path}?n=2&last=_e`);
    expect(listOf(second.body).tags).toEqual(['a', 'b']);
    const last = await registry.ask(`${path}?n=2&last=b`);
    expect([listOf(last.body).tags, last.headers.link]).toEqual([['d'], undefined]);
    // A tag that is not there has its place all the same.
    expect(listOf((await registry.ask(`${path}?last=aa`)).body).tags).toEqual(['b', 'd']);
    const none = await registry.ask(`${path}?n=0`);
    expect([none.status, listOf(none.body).tags, none.headers.link]).toEqual([200, [], undefined]);
  });

  it('an empty list of a repository without tags, 404 of none, 400 for no number', async () => {
    await registry.pushImage(undefined);
    const empty = await registry.ask('/v2/me/tool/tags/list');
    expect([empty.status, listOf(empty.body).tags]).toEqual([200, []]);
    const none = await registry.ask('/v2/nobody/tags/list');
    expect([none.status, ...none.codes]).toEqual([404, 'NAME_UNKNOWN']);
    for (const n of ['-1', 'x', '1.5', '']) {
      expect((await registry.ask(`/v2/me/tool/tags/list?n=${n}`)).status).toBe(400);
    }
  });
});

describe('listing referrers', () => {
  const about = (digest: string, size: number) => ({ subject: { digest, size, mediaType: 'a/b' } });
  const manifestsOf = (body: Buffer) =>
    (JSON.parse(body.toString()) as { manifests: Record<string, unknown>[] }).manifests;

  it('what says something about a manifest, in either order, with its type and annotations', async () => {
    const later = JSON.stringify(await registry.newManifest());
    const subject = about(digestOf(later), later.length);
    const annotations = { 'org.example': 'yes' };
    const signature = {
      ...subject,
      artifactType: 'application/vnd.example.signature',
      annotations,
    };
    const text = JSON.stringify({ ...(await registry.newManifest()), ...signature });
    const put = await registry.put(`/v2/me/tool/manifests/${digestOf(text)}`, text);
    expect([put.status, put.headers['oci-subject']]).toEqual([201, digestOf(later)]);
    const plain = await registry.pushImage(undefined, subject);
    const index = JSON.stringify({
      schemaVersion: 2,
      mediaType: OCI_INDEX,
      manifests: [],
      ...subject,
    });
    await registry.put(`/v2/me/tool/manifests/${digestOf(index)}`, index, OCI_INDEX);
    await registry.put('/v2/me/tool/manifests/later', later);

    const listed = await registry.ask(`/v2/me/tool/referrers/${digestOf(later)}`);
    expect([listed.status, listed.headers['content-type']]).toEqual([200, OCI_INDEX]);
    const found = new Map(manifestsOf(listed.body).map((one) => [one.digest, one]));
    expect(found.size).toBe(3);
    const { artifactType } = signature;
    expect(found.get(digestOf(text))).toMatchObject({
      size: text.length,
      artifactType,
      annotations,
    });
    expect(found.get(plain.digest)?.artifactType).toBe('application/vnd.oci.image.config.v1+json');
    expect(found.get(digestOf(index))).not.toHaveProperty('artifactType');

    const path = `/v2/me/tool/referrers/${digestOf(later)}?artifactType=${artifactType}`;
    const filtered = await registry.ask(path);
    expect(filtered.headers['oci-filters-applied']).toBe('artifactType');
    expect(manifestsOf(filtered.body).map(({ digest }) => digest)).toEqual([digestOf(text)]);
  });

  it('an empty index for what nobody speaks of, also where there is no repository', async () => {
    for (const repository of ['me/tool', 'nobody']) {
      const listed = await registry.ask(`/v2/${repository}/referrers/${digestOf('x')}`);
      expect([listed.status, manifestsOf(listed.body)]).toEqual([200, []]);
    }
    const wrong = await registry.ask('/v2/me/tool/referrers/sha256:no');
    expect([wrong.status, ...wrong.codes]).toEqual([400, 'DIGEST_INVALID']);
  });

  it('in pages', async () => {
    const manifest = await registry.newManifest();
    const subject = about(digestOf('x'), 1);
    const count = REFERRERS_PER_PAGE_MAX + 3;
    for (let n = 0; n < count; n += 1) {
      const text = JSON.stringify({ ...manifest, ...subject, annotations: { n: `${n}` } });
      await registry.put(`/v2/me/tool/manifests/${digestOf(text)}`, text);
    }
    const digests = new Set<unknown>();
    let next: string | undefined = `/v2/me/tool/referrers/${digestOf('x')}`;
    let pages = 0;
    while (next !== undefined) {
      const page = await registry.ask(next);
      for (const { digest } of manifestsOf(page.body)) digests.add(digest);
      next = /^<(.*)>; rel="next"$/.exec(page.headers.link ?? '')?.[1];
      pages += 1;
    }
    expect([digests.size, pages]).toEqual([count, 2]);
  });
});

describe('removing', () => {
  it('a tag, and not what it meant', async () => {
    const { digest } = await registry.pushImage('1');
    expect((await registry.ask('/v2/me/tool/manifests/1', DELETE)).status).toBe(202);
    expect((await registry.ask('/v2/me/tool/manifests/1')).status).toBe(404);
    expect((await registry.ask(`/v2/me/tool/manifests/${digest}`)).status).toBe(200);
    expect((await registry.ask('/v2/me/tool/manifests/1', DELETE)).status).toBe(404);
    expect(registry.changes).toBe(2);
  });

  it('a manifest with all its tags, in this repository alone', async () => {
    const { digest, text } = await registry.pushImage('1');
    await registry.put('/v2/me/tool/manifests/2', text);
    await registry.put('/v2/me/other/manifests/1', text);
    const kept = await registry.pushImage('3');
    expect((await registry.ask(`/v2/me/tool/manifests/${digest}`, DELETE)).status).toBe(202);
    for (const reference of ['1', '2', digest]) {
      expect((await registry.ask(`/v2/me/tool/manifests/${reference}`)).status).toBe(404);
    }
    expect(listOf((await registry.ask('/v2/me/tool/tags/list')).body).tags).toEqual(['3']);
    expect((await registry.ask(`/v2/me/tool/manifests/${kept.digest}`)).status).toBe(200);
    expect((await registry.ask('/v2/me/other/manifests/1')).status).toBe(200);
    const nobody = await registry.ask(`/v2/nobody/manifests/${digest}`, DELETE);
    expect(nobody.status).toBe(404);
  });

  it('405 for blobs: others may have the same', async () => {
    const digest = await registry.pushBlob('all');
    const answer = await registry.ask(`/v2/me/tool/blobs/${digest}`, DELETE);
    expect([answer.status, ...answer.codes]).toEqual([405, 'UNSUPPORTED']);
  });
});

describe('what nobody should send', () => {
  it.each([
    ['/v2/../../etc/passwd', 404],
    ['/v2/..%2f..%2fetc/manifests/1', 400],
    ['/v2/me/../tool/manifests/1', 400],
    ['/v2/Me/manifests/1', 400],
    ['/v2/me//tool/manifests/1', 400],
    ['/v2/-me/manifests/1', 400],
    [`/v2/${'a'.repeat(230)}/manifests/1`, 400],
    [`/v2/me/manifests/${'a'.repeat(129)}`, 400],
    ['/v2/me/manifests/.x', 400],
    ['/v2/me/manifests/..', 400],
    ['/v2/me/blobs/sha256:..%2f..%2fx', 400],
    ['/v2/me/blobs/nothing', 400],
    ['/v2/me/blobs/uploads/..', 404],
    ['/v2/me/%ZZ/manifests/1', 404],
    ['/v2/me/%00/manifests/1', 400],
    ['/v2/me/manifests/', 400],
    ['/v2/manifests/1', 404],
    ['/v1/', 404],
    ['/', 404],
    ['*', 404],
  ])('%s: %i', async (path, status) => {
    const answer = await registry.ask(path);
    expect(answer.status).toBe(status);
    expect(answer.codes).toHaveLength(1);
    expect(registry.troubles).toEqual([]);
  });

  it('a page in a browser, by its origin or by a name of its own', async () => {
    const { port } = registry;
    const refused = [
      { Origin: `http://localhost:${port}` },
      { Origin: 'null' },
      { Host: 'evil.example' },
      { Host: `localhost.evil.example:${port}` },
      { Host: `127.0.0.1.evil.example:${port}` },
      { 'Sec-Fetch-Site': 'cross-site' },
      { 'Sec-Fetch-Site': 'same-site' },
    ];
    for (const headers of refused) {
      const answer = await registry.ask('/v2/', {
        headers: { ...headers } as Record<string, string>,
      });
      expect([answer.status, ...answer.codes]).toEqual([403, 'DENIED']);
    }
    for (const host of ['localhost', `localhost:${port}`, '127.0.0.1', `[::1]:${port}`]) {
      expect((await registry.ask('/v2/', { headers: { Host: host } })).status).toBe(200);
    }
  });

  it('methods that mean nothing here', async () => {
    const paths = ['/v2/me/tags/list', '/v2/me/blobs/uploads/', '/v2/me/manifests/1'];
    for (const path of paths) {
      const answer = await registry.ask(path, { method: 'OPTIONS' });
      expect([answer.status, ...answer.codes]).toEqual([405, 'UNSUPPORTED']);
    }
  });

  it('a body that breaks off: the upload stands where it was, and can go on', async () => {
    const place = await registry.begin();
    const socket = connect(registry.port, '127.0.0.1');
    const head = `PATCH ${place} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n`;
    await new Promise<void>((resolve) => socket.write(`${head}abc`, () => resolve()));
    await expect
      .poll(async () => (await registry.ask(place)).headers.range, { timeout: 120_000 })
      .toBe('0-2');
    socket.destroy();
    const rest = { method: 'PATCH', body: 'def', headers: { 'Content-Range': '3-5' } };
    // Until it is noticed that the first is gone, the upload is in its hands.
    await expect
      .poll(async () => (await registry.ask(place, rest)).status, { timeout: 120_000 })
      .toBe(202);
    const path = `${place}?digest=${digestOf('abcdef')}`;
    expect((await registry.ask(path, { method: 'PUT' })).status).toBe(201);
    expect(registry.troubles).toEqual([]);
  });

  it('trouble of the mesh is told, to the owner too', async () => {
    registry.blobs.trouble = new PortError('no answer from the mesh', { retryable: true });
    const answer = await registry.ask(`/v2/me/blobs/${digestOf('x')}`);
    expect([answer.status, answer.message]).toEqual([503, 'no answer from the mesh']);
    expect(registry.troubles).toHaveLength(1);
  });
});

describe('the port', () => {
  it('another one when it is taken and may be; else it is said', async () => {
    const parts = {} as ConstructorParameters<typeof RegistryServer>[0];
    const other = new RegistryServer(parts, { port: registry.port, mayBeOther: true });
    await other.start();
    expect(other.port).not.toBe(registry.port);
    expect(other.port).toBeGreaterThan(0);
    await other.stop();
    await other.stop();
    const strict = new RegistryServer(parts, { port: registry.port, mayBeOther: false });
    await expect(strict.start()).rejects.toThrow(/EADDRINUSE/);
    await strict.stop();
  });

  it('is not shared with a stranger on the other address that "localhost" means', async () => {
    const stranger = createServer();
    stranger.listen(0, '::1');
    const isThere = await once(stranger, 'listening').then(
      () => true,
      () => false,
    );
    // A machine without IPv6 has no such address.
    if (!isThere) return;
    const { port } = stranger.address() as AddressInfo;
    const parts = {} as ConstructorParameters<typeof RegistryServer>[0];
    const other = new RegistryServer(parts, { port, mayBeOther: true });
    await other.start();
    expect(other.port).not.toBe(port);
    await other.stop();
    stranger.close();
  });
});
