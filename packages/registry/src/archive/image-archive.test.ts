import { DOCKER_MANIFEST, OCI_INDEX, parseManifest, partsOf } from '@podmesh/core';
import { describe, expect, it } from 'vitest';
import {
  idOf,
  imageOf,
  inMemory,
  type PackedEntry,
  paxRecord,
  seal,
  tarOf,
} from './archive.test-kit.ts';
import { ArchiveProblem } from './archive-problem.ts';
import { readImageArchive } from './image-archive.ts';

const LONG = 'x'.repeat(4_097);
const TOO_LONG = /a name of 4097 characters, and 4096 are the most/;
const ELSEWHERE = /a document ".*" with "urls": parts that are fetched from elsewhere/;
const DEEP = `${'['.repeat(200_000)}${']'.repeat(200_000)}`;
const image = imageOf(['the base', 'what was added']);
const read = (bytes: Buffer) => readImageArchive(inMemory(bytes));
const readOf = (entries: readonly PackedEntry[]) => read(tarOf(entries));
/** With other entries in the place of those with their names. */
const changed = (entries: readonly PackedEntry[], ...others: readonly PackedEntry[]) => [
  ...entries.filter(({ name }) => !others.some((other) => other.name === name)),
  ...others,
];
const blob = (text: string) => `blobs/sha256/${idOf(text).slice('sha256:'.length)}`;

describe('an image archive', () => {
  it('of OCI: the manifest as it is, and where its parts stand', async () => {
    const bytes = tarOf(image.oci);
    const found = await read(bytes);
    expect(found?.record.digest).toBe(idOf(image.manifest));
    expect(found?.parts.map(({ digest }) => digest)).toEqual(image.parts);
    for (const { start, bytes: length, digest } of found?.parts ?? []) {
      expect(idOf(bytes.subarray(start, start + length))).toBe(digest);
    }
  });

  it("of Docker: a manifest that is made of its config, of which Podman's id stays the same", async () => {
    const bytes = tarOf(image.docker);
    const found = await read(bytes);
    expect(found?.parts.map(({ digest }) => digest)).toEqual(image.parts);
    for (const { start, bytes: length, digest } of found?.parts ?? []) {
      expect(idOf(bytes.subarray(start, start + length))).toBe(digest);
    }
    const text = String(found?.manifest);
    const parsed = parseManifest(text, DOCKER_MANIFEST);
    if (!parsed.ok) throw new Error(parsed.error);
    expect(found?.record).toEqual({
      digest: idOf(text),
      mediaType: DOCKER_MANIFEST,
      bytes: text.length,
    });
    expect(parsed.value.config?.digest).toBe(idOf(image.config));
    expect(partsOf(parsed.value).map(({ digest }) => digest)).toEqual(image.parts);
    // Whoever takes it apart finds the same.
    expect((await read(tarOf([...image.docker].reverse())))?.record).toEqual(found?.record);
  });

  it('reads links as docker and podman write them, and names that begin otherwise', async () => {
    const layers = ['0.tar', 'x/layer.tar'];
    const manifest = JSON.stringify([{ Config: './config.json', Layers: layers }]);
    const twice = imageOf(['the base', 'the base']);
    const entries = [
      { name: './config.json', text: twice.config },
      { name: './0.tar', text: 'the base' },
      { name: 'x/layer.tar', type: '2', link: '../0.tar' },
      { name: '/manifest.json', text: manifest },
    ];
    const found = await readOf(entries);
    expect(found?.parts.map(({ digest }) => digest)).toEqual([
      idOf(twice.config),
      idOf('the base'),
    ]);
    const hard = { name: 'x/layer.tar', type: '1', link: './0.tar' };
    expect((await readOf(changed(entries, hard)))?.record).toEqual(found?.record);
  });

  it('reads long names, and lengths, of pax and of GNU', async () => {
    const long = `${'d/'.repeat(90)}config.json`;
    const manifest = JSON.stringify([{ Config: long, Layers: ['0.tar', '1.tar'] }]);
    const rest = changed(image.docker, { name: 'manifest.json', text: manifest }).filter(
      ({ name }) => name !== 'config.json',
    );
    const pax = { name: 'pax', type: 'x', text: paxRecord('path', long) };
    const gnu = { name: '././@LongLink', type: 'L', text: `${long}\0` };
    const config = { name: 'short', text: image.config };
    const wanted = (await readOf(image.docker))?.parts.map(({ digest }) => digest);
    for (const words of [pax, gnu]) {
      const found = await readOf([words, config, ...rest]);
      expect(found?.parts.map(({ digest }) => digest)).toEqual(wanted);
    }
    const said = paxRecord('size', String(image.config.length));
    const sized = tarOf([{ name: 'pax', type: 'x', text: said }, ...image.docker.slice(2)]);
    // The header's own length does not count where pax tells one.
    sized.write('00000000000\0', 1024 + 124);
    seal(sized.subarray(1024, 1536));
    const layers = tarOf(image.docker.slice(0, 2)).subarray(0, -1024);
    const found = await read(Buffer.concat([layers, sized]));
    expect(found?.parts.map(({ digest }) => digest)).toEqual(wanted);
  });

  it('leaves to Podman what it can read and this cannot take apart', async () => {
    const list = JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [] });
    const index = { manifests: [{ digest: idOf(list), mediaType: OCI_INDEX, size: list.length }] };
    const entries = changed(
      image.oci,
      { name: 'index.json', text: JSON.stringify(index) },
      { name: blob(list), text: list },
    );
    expect(await readOf(entries)).toBeUndefined();
    const layer = { name: '1.tar', text: Buffer.from('1f8b0800', 'hex') };
    expect(await readOf(changed(image.docker, layer))).toBeUndefined();
  });
});

describe('is refused, in words', () => {
  const json = (name: string, said: unknown) => ({ name, text: JSON.stringify(said) });
  const without = (entries: readonly PackedEntry[], name: string) =>
    entries.filter((entry) => entry.name !== name);
  const named = (digest: string) => json('index.json', { manifests: [{ digest }] });
  const part = { digest: idOf(image.config), size: image.config.length };
  const foreign = (manifest: object) => {
    const text = JSON.stringify({ schemaVersion: 2, config: part, layers: [], ...manifest });
    return changed(image.oci, named(idOf(text)), { name: blob(text), text });
  };
  const bare = JSON.stringify({ schemaVersion: 2, layers: [] });

  it.each<[string, readonly PackedEntry[], RegExp]>([
    ['nothing of an image', [{ name: 'x', text: 'y' }], /neither an oci-layout nor a manifest/],
    ['no index', without(image.oci, 'index.json'), /lacks its document "index.json"/],
    ['no config', without(image.oci, blob(image.config)), /lacks its config "blobs\/sha256/],
    ['no layer', without(image.oci, blob('the base')), /lacks its layer/],
    ['no manifest', without(image.oci, blob(image.manifest)), /lacks its manifest/],
    ['several', changed(image.oci, json('index.json', { manifests: [1, 2] })), /holds 2 images/],
    ['an empty index', changed(image.oci, json('index.json', { manifests: [] })), /holds 0 images/],
    ['a broken index', changed(image.oci, { name: 'index.json', text: '{' }), /is no JSON/],
    ['a wrong digest', changed(image.oci, named('sha256:../../etc')), /names no manifest/],
    ['another manifest', changed(image.oci, { name: blob(image.manifest), text: '{}' }), /digest/],
    [
      'a manifest of no image',
      changed(image.oci, named(idOf(bare)), { name: blob(bare), text: bare }),
      /manifest that is none: .*without a config/,
    ],
    [
      'a layer of another length',
      changed(image.oci, { name: blob('the base'), text: 'longer than that' }),
      /has 16 bytes, and its manifest says 8/,
    ],
    ['two of a name', [...image.oci, { name: 'index.json', text: '{}' }], /"index.json" twice/],
    ['several of docker', changed(image.docker, json('manifest.json', [1, 2])), /holds 2 images/],
    ...['null', '7', '[]', '"x"', DEEP].map((text): [string, readonly PackedEntry[], RegExp] => [
      `a config that is ${text.slice(0, 8)}`,
      changed(image.docker, { name: 'config.json', text }),
      /a config that does not name so many/,
    ]),
    ['an index that is null', changed(image.oci, { name: 'index.json', text: 'null' }), /without/],
    [
      'an index nested beyond all measure',
      changed(image.oci, { name: 'index.json', text: `{"manifests":[{"digest":${DEEP}}]}` }),
      /names no manifest/,
    ],
    [
      'a layer that comes from elsewhere',
      foreign({ layers: [{ ...part, urls: ['http://169.254.169.254/'] }] }),
      ELSEWHERE,
    ],
    ['a config that does', foreign({ config: { ...part, urls: ['http://x/'] } }), ELSEWHERE],
    [
      'an image of several that does',
      [
        ...foreign({ mediaType: OCI_INDEX, manifests: [part] }),
        { name: blob('another'), text: ' {"layers":[{"URLS":["http://x/"]}]}' },
      ],
      ELSEWHERE,
    ],
    [
      'an index that Podman reads where others read a list',
      [...image.docker, { name: 'index.json', text: '{}' }, { name: 'x', text: '{"urls":["x"]}' }],
      ELSEWHERE,
    ],
    [
      'two of any name',
      [...image.oci, { name: 'x', text: 'a' }, { name: 'x', text: 'b' }],
      /"x" twice/,
    ],
    ['no list', changed(image.docker, json('manifest.json', {})), /that is no list/],
    ['no config there', changed(image.docker, json('manifest.json', [{}])), /without a config/],
    [
      'a config out of the archive',
      changed(image.docker, json('manifest.json', [{ Config: '../../../etc/passwd' }])),
      /lacks its config "\.\.\/\.\.\/\.\.\/etc\/passwd"/,
    ],
    [
      'a layer out of the archive',
      changed(image.docker, { name: '0.tar', type: '2', link: '/etc/passwd' }),
      /lacks its layer "0.tar"/,
    ],
    [
      'links in a circle',
      changed(image.docker, { name: '0.tar', type: '2', link: '0.tar' }),
      /links lead to in a circle/,
    ],
    [
      'more layers than its config',
      changed(image.docker, json('manifest.json', [{ Config: 'config.json', Layers: ['0.tar'] }])),
      /has 1 layers, and a config that does not name so many/,
    ],
    [
      'layers that are no names',
      changed(image.docker, json('manifest.json', [{ Config: 'config.json', Layers: [7] }])),
      /no list of names/,
    ],
    ['a sparse file', [{ name: 'x', type: 'S' }], /sparse/],
    [
      'a sparse file of pax',
      [{ name: 'x', type: 'x', text: paxRecord('GNU.sparse.major', '1') }],
      /sparse/,
    ],
    ['words that are none', [{ name: 'x', type: 'x', text: '99999 a=b\n' }], /cannot be read/],
    ['no number', [{ name: 'x', type: 'x', text: paxRecord('size', '-1') }], /is no number/],
    [
      'words without end',
      [{ name: 'x', type: 'x', text: Buffer.alloc(1024 * 1024 + 1) }],
      /words about one entry/,
    ],
    [
      'words without end, one little after the other',
      Array.from({ length: 17 }, () => ({
        name: 'x',
        type: 'x',
        text: paxRecord('comment', 'x'.repeat(1024 * 1024 - 20)),
      })),
      /more than 16777216 bytes of words/,
    ],
    [
      'more words than anybody needs',
      [1, 2].map(() => ({ name: 'x', type: 'x', text: '5 a=\n'.repeat(100_001) })),
      /more than 200000 words/,
    ],
    ['a long name of pax', [{ name: 'x', type: 'x', text: paxRecord('path', LONG) }], TOO_LONG],
    ['a long name of GNU', [{ name: 'x', type: 'L', text: LONG }], TOO_LONG],
    ['a long link of pax', [{ name: 'x', type: 'x', text: paxRecord('linkpath', LONG) }], TOO_LONG],
    ['a long link of GNU', [{ name: 'x', type: 'K', text: LONG }], TOO_LONG],
    [
      'a layer with a long name',
      changed(image.docker, json('manifest.json', [{ Config: LONG, Layers: [] }])),
      TOO_LONG,
    ],
    [
      'more layers than any image has',
      changed(
        image.docker,
        json('manifest.json', [
          { Config: 'config.json', Layers: Array.from({ length: 10_001 }, () => '0.tar') },
        ]),
      ),
      /has 10001 layers, and 10000 are the most/,
    ],
    [
      'a document without end',
      changed(image.oci, { name: 'index.json', text: Buffer.alloc(4 * 1024 * 1024 + 1, 32) }),
      /are the most/,
    ],
  ])('%s', async (_, entries, problem) => {
    await expect(readOf(entries)).rejects.toThrow(problem);
  });

  it('no archive at all, and one that is damaged', async () => {
    await expect(read(Buffer.from('garbage'.repeat(1_000)))).rejects.toThrow(/is no tar archive/);
    await expect(read(Buffer.alloc(0))).rejects.toThrow(/is no image archive/);
    const damaged = tarOf(image.oci);
    damaged.write('x', 512);
    await expect(read(damaged)).rejects.toThrow(/is damaged: what stands at byte 512/);
  });

  it('one that makes a reader stumble, as if it were said in words', async () => {
    const bytes = tarOf(image.oci);
    for (const error of [new TypeError('of null'), new RangeError('too deep')]) {
      const reading = readImageArchive({ bytes: bytes.length, read: () => Promise.reject(error) });
      await expect(reading).rejects.toBeInstanceOf(ArchiveProblem);
      await expect(reading).rejects.toThrow(`cannot be read: ${error.message}`);
    }
    const broken = new Error('the disk is broken');
    const reading = readImageArchive({ bytes: 1024, read: () => Promise.reject(broken) });
    await expect(reading).rejects.toBe(broken);
  });

  it('nothing, once nobody wants it any more', async () => {
    const stop = new AbortController();
    const bytes = tarOf(image.oci);
    let reads = 0;
    const source = {
      bytes: bytes.length,
      read: async (start: number, length: number) => {
        reads += 1;
        if (reads === 3) stop.abort(new Error('not wanted any more'));
        return bytes.subarray(start, start + length);
      },
    };
    await expect(readImageArchive(source, stop.signal)).rejects.toThrow('not wanted any more');
    expect(reads).toBe(3);
  });

  it('one that is cut off, wherever that is', async () => {
    const bytes = tarOf(image.oci);
    for (let end = 1; end <= bytes.length - 1024 - 512; end += 97) {
      await expect(read(bytes.subarray(0, end))).rejects.toThrow(
        /is cut off|is no tar archive|lacks|neither an oci-layout/,
      );
    }
  });

  it('lengths beyond all bounds', async () => {
    const bytes = tarOf([{ name: 'x', text: 'y' }]);
    bytes.write('77777777777\0', 124);
    seal(bytes);
    await expect(read(bytes)).rejects.toThrow(/is cut off/);
    Buffer.alloc(12, 0xff).copy(bytes, 124);
    bytes[124] = 0x80;
    seal(bytes);
    await expect(read(bytes)).rejects.toThrow(/has no length/);
  });

  it('more entries than any image has', async () => {
    const one = tarOf([{ name: 'x' }]).subarray(0, 512);
    const many = Buffer.concat(Array.from({ length: 20_001 }, () => one));
    await expect(read(many)).rejects.toThrow(/more than 20000 entries/);
  });
});
