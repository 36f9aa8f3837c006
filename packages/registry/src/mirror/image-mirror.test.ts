import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { OCI_INDEX, parseMirror, peerId } from '@podmesh/core';
import { DirectProcess, FakeMesh, RealTime } from '@podmesh/testkit';
import { describe, expect, it, onTestFinished } from 'vitest';
import { digestOf, MemoryBlobs, TestRegistry } from '../registry.test-kit.ts';
import { ImageMirror } from './image-mirror.ts';
import { parseChallenge } from './parse-challenge.ts';
import { UpstreamError, UpstreamRegistry } from './upstream-registry.ts';

const never = new AbortController().signal;

interface Door {
  readonly port: number;
  readonly seen: string[];
  /** Instead of what is behind it. */
  broken: ((path: string) => Buffer | undefined) | undefined;
  hangs: boolean;
}

/** A registry that lets in who has a token, as those of the world do. */
async function openDoor(behind: number): Promise<Door> {
  const seen: string[] = [];
  const door = { port: 0, seen, broken: undefined as Door['broken'], hangs: false };
  const server: Server = createServer((asked, answer) => {
    const { url = '', headers } = asked;
    seen.push(url);
    if (door.hangs) return;
    if (url.startsWith('/token')) return answer.end(JSON.stringify({ token: `t${seen.length}` }));
    if (!headers.authorization?.startsWith('Bearer t')) {
      const realm = `http://127.0.0.1:${door.port}/token`;
      const ask = `Bearer realm="${realm}",service="door",scope="repository:me/tool:pull"`;
      return answer.writeHead(401, { 'www-authenticate': ask }).end();
    }
    const wrong = door.broken?.(url);
    if (wrong !== undefined) return answer.end(wrong);
    const { host: _, ...others } = headers;
    const inner = request({ port: behind, path: url, headers: others }, (found) => {
      answer.writeHead(found.statusCode ?? 0, found.headers);
      found.pipe(answer);
    });
    return inner.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  door.port = (server.address() as AddressInfo).port;
  return door;
}

async function newCase() {
  const behind = await TestRegistry.start();
  onTestFinished(() => behind.stop());
  const door = await openDoor(behind.port);
  const host = `127.0.0.1:${door.port}`;
  const mirror = parseMirror(`${host}=up`);
  if (mirror === undefined) throw new Error('no mirror');
  const clock = new RealTime({ background: true });
  const mesh = new FakeMesh(clock);
  const blobs = new MemoryBlobs();
  const newPeer = (name: string, upstream = new UpstreamRegistry({ stallMs: 500 })) => {
    const process = new DirectProcess(name, clock);
    const { imageTags: tags, imageManifests: manifests, mirrorClaims } = mesh.portsFor(process);
    const parts = { mirrors: [mirror], upstream, claims: mirrorClaims, clock: process.clock };
    const peer = peerId(name);
    return {
      tags,
      manifests,
      ...{ mirror: new ImageMirror({ ...parts, peer, blobs, tags, manifests }) },
    };
  };
  const count = (what: string) => door.seen.filter((url) => url.includes(what)).length;
  return { behind, door, host, blobs, newPeer, count, mesh };
}

const tag = (name: string) => ({ kind: 'tag', tag: name }) as const;

describe('an image of another registry', () => {
  it('comes once for all peers who ask at the same time, with a token, and is then one of the mesh', async () => {
    const { behind, blobs, newPeer, count, mesh } = await newCase();
    const { digest, text } = await behind.pushImage('1.0');
    const peers = ['ann', 'bob', 'eve'].map((name) => newPeer(name));
    const brought = peers.map(({ mirror }) => mirror.bring('up/me/tool', tag('1.0'), never));
    expect(await Promise.all(brought)).toEqual([true, true, true]);
    expect(count('/manifests/1.0')).toBe(2);
    expect(count('/blobs/')).toBe(JSON.parse(text).layers.length + 1);
    expect(count('/token?service=door&scope=') + count('/token?scope=')).toBe(1);
    const [ann] = peers;
    expect(await ann?.tags.find('up/me/tool', '1.0')).toMatchObject({ digest });
    expect(await ann?.manifests.find('up/me/tool', digest)).toMatchObject({ digest });
    for (const part of [
      digest,
      ...JSON.parse(text).layers.map((layer: { digest: string }) => layer.digest),
    ])
      expect(blobs.stored.has(part) && blobs.shared.has(part)).toBe(true);
    expect([blobs.held, blobs.open, mesh.images.claims.size]).toEqual([0, 0, 0]);
    const before = count('/');
    expect(await ann?.mirror.bring('up/me/tool', tag('1.0'), never)).toBe(true);
    expect(count('/')).toBe(before);
  });

  it('is none of other repositories, and of none that is not there', async () => {
    const { newPeer, count, mesh } = await newCase();
    const { mirror } = newPeer('ann');
    expect(await mirror.bring('me/tool', tag('1.0'), never)).toBe(false);
    expect(count('/')).toBe(0);
    expect(await mirror.bring('up/me/tool', tag('none'), never)).toBe(false);
    expect(mesh.images.claims.size).toBe(0);
  });

  it('of an index comes for the platforms that are asked for', async () => {
    const { behind, blobs, newPeer } = await newCase();
    const { digest, text } = await behind.pushImage(undefined);
    const other = await behind.pushImage(undefined);
    const platform = { os: 'linux', architecture: 'amd64' };
    const part = { mediaType: 'a/b', digest, size: text.length, platform };
    const manifests = [
      part,
      { ...part, digest: other.digest, platform: { ...platform, architecture: 'arm64' } },
    ];
    const index = JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests });
    await behind.put('/v2/me/tool/manifests/2', index, OCI_INDEX);
    const { mirror } = newPeer('ann');
    expect(await mirror.bring('up/me/tool', tag('2'), never)).toBe(true);
    expect([blobs.stored.has(digestOf(index)), blobs.stored.has(digest)]).toEqual([true, false]);
    expect(await mirror.bring('up/me/tool', { kind: 'digest', digest }, never)).toBe(true);
    expect([blobs.stored.has(digest), blobs.stored.has(other.digest)]).toEqual([true, false]);
  });

  it('with other bytes than it says is refused, and nothing of it has a name', async () => {
    const { behind, door, host, blobs, newPeer } = await newCase();
    const { digest } = await behind.pushImage('1.0');
    const { mirror, tags } = newPeer('ann');
    door.broken = (url) => (url.includes('/blobs/') ? Buffer.from('x') : undefined);
    const bringing = mirror.bring('up/me/tool', tag('1.0'), never);
    await expect(bringing).rejects.toThrow(UpstreamError);
    await expect(bringing).rejects.toThrow(`${host} sent 1 bytes with the digest`);
    expect(await tags.find('up/me/tool', '1.0')).toBeUndefined();
    expect([blobs.stored.size, blobs.open, blobs.held]).toEqual([0, 0, 0]);
    door.broken = (url) => (url.includes(digest) ? Buffer.from('{}') : undefined);
    const other = mirror.bring('up/me/tool', { kind: 'digest', digest }, never);
    await expect(other).rejects.toThrow('sent a manifest with the digest');
    door.broken = () => Buffer.from('<html>');
    await expect(mirror.bring('up/me/tool', tag('1.0'), never)).rejects.toThrow('sent no manifest');
  });

  it('that does not come is given up, naming it and where it was looked for', async () => {
    const { door, host, newPeer, mesh } = await newCase();
    door.hangs = true;
    const { mirror } = newPeer('ann');
    const bringing = mirror.bring('up/me/tool', tag('1.0'), never);
    await expect(bringing).rejects.toThrow(`${host}/me/tool:1.0 cannot be had: nothing came`);
    expect(mesh.images.claims.size).toBe(0);
  });
});

describe('the registry of a peer that may ask another', () => {
  it('asks for what is pulled and not there, and tells what was said', async () => {
    const registry = await TestRegistry.start();
    onTestFinished(() => registry.stop());
    const asked: unknown[] = [];
    registry.bring = async (repository, name) => {
      asked.push([repository, name]);
      if (repository !== 'me/tool') throw new UpstreamError('it', 'nobody is there');
      await registry.pushImage('1.0');
      return true;
    };
    expect((await registry.ask('/v2/me/tool/manifests/1.0')).status).toBe(200);
    expect(asked).toEqual([['me/tool', tag('1.0')]]);
    expect((await registry.ask('/v2/me/tool/manifests/1.0')).status).toBe(200);
    const head = await registry.ask('/v2/other/manifests/1', { method: 'HEAD' });
    expect(head.status).toBe(404);
    const refused = await registry.ask('/v2/other/manifests/1');
    expect(refused).toMatchObject({ status: 404, codes: ['MANIFEST_UNKNOWN'] });
    expect(refused.message).toContain('it cannot be had: nobody is there');
    // Nobody removes what is not in the mesh.
    const before = asked.length;
    await registry.ask('/v2/other/manifests/1', { method: 'DELETE' });
    expect(asked).toHaveLength(before);
    expect(registry.troubles).toEqual([]);
  });
});

describe('a registry that asks who it is', () => {
  it.each([
    [
      'Bearer realm="https://a/t",service="s",scope="x:y"',
      { realm: 'https://a/t', service: 's', scope: 'x:y' },
    ],
    ['bearer realm="https://a/t"', { realm: 'https://a/t' }],
    ['Bearer realm="https://a/\\"t"', { realm: 'https://a/"t' }],
    ['Basic realm="x"', undefined],
    ['Bearer service="s"', undefined],
    ['Bearer realm="nowhere"', undefined],
    ['', undefined],
  ])('says %j', (header, challenge) => {
    expect(parseChallenge(header)).toEqual(challenge);
  });
});
