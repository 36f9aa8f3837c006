import { createHash } from 'node:crypto';
import { type ArtifactId, artifactId, OCI_MANIFEST } from '@podmesh/core';
import type { SeekableBytes } from './tar-index.ts';

export interface PackedEntry {
  readonly name: string;
  readonly text?: string | Buffer;
  /** `0` a file, `1` a hard link, `2` a symbolic one, `5` a directory, … */
  readonly type?: string;
  readonly link?: string;
}

/** A tar archive, written by hand so that anything can be wrong with it. */
export function tarOf(entries: readonly PackedEntry[]): Buffer {
  const pieces = entries.flatMap(({ name, text = '', type = '0', link = '' }) => {
    const content = Buffer.from(text);
    const block = Buffer.alloc(512);
    block.write(name, 0, 100);
    block.write('0000644\0', 100);
    block.write(`${content.length.toString(8).padStart(11, '0')}\0`, 124);
    block.write(type, 156);
    block.write(link, 157, 100);
    block.write('ustar\0', 257);
    block.write('00', 263);
    seal(block);
    return [block, padded(content)];
  });
  return Buffer.concat([...pieces, Buffer.alloc(1024)]);
}

/** The checksum of a header that was changed. */
export function seal(block: Buffer): void {
  block.fill(' ', 148, 156);
  const sum = block.subarray(0, 512).reduce((all, byte) => all + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
}

/** A record of a pax header. */
export function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length;
  while (`${length}${rest}`.length !== length) length += 1;
  return `${length}${rest}`;
}

export const idOf = (text: string | Buffer): ArtifactId =>
  artifactId(`sha256:${createHash('sha256').update(text).digest('hex')}`);

export const inMemory = (bytes: Buffer): SeekableBytes => ({
  bytes: bytes.length,
  read: async (start, length) => bytes.subarray(start, start + length),
});

/** An image of such layers (which need not be archives), in both formats. */
export function imageOf(layers: readonly (string | Buffer)[], word = 'of a test') {
  const diffIds = layers.map(idOf);
  const config = JSON.stringify({
    architecture: 'amd64',
    os: 'linux',
    word,
    rootfs: { type: 'layers', diff_ids: diffIds },
  });
  const part = (mediaType: string, text: string | Buffer) => ({
    mediaType,
    digest: idOf(text),
    size: Buffer.byteLength(text),
  });
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: part('application/vnd.oci.image.config.v1+json', config),
    layers: layers.map((layer) => part('application/vnd.oci.image.layer.v1.tar', layer)),
  });
  const blob = (text: string | Buffer): PackedEntry => ({
    name: `blobs/sha256/${idOf(text).slice('sha256:'.length)}`,
    text,
  });
  const index = { schemaVersion: 2, manifests: [part(OCI_MANIFEST, manifest)] };
  const oci: readonly PackedEntry[] = [
    { name: 'blobs/sha256/', type: '5' },
    ...layers.map(blob),
    blob(config),
    blob(manifest),
    { name: 'index.json', text: JSON.stringify(index) },
    { name: 'oci-layout', text: '{"imageLayoutVersion":"1.0.0"}' },
  ];
  const docker: readonly PackedEntry[] = [
    ...layers.map((text, i) => ({ name: `${i}.tar`, text })),
    { name: 'config.json', text: config },
    {
      name: 'manifest.json',
      text: JSON.stringify([
        { Config: 'config.json', RepoTags: null, Layers: layers.map((_, i) => `${i}.tar`) },
      ]),
    },
  ];
  const parts = [idOf(config), ...diffIds];
  return { oci, docker, config, manifest, layers: diffIds, parts };
}

function padded(content: Buffer): Buffer {
  return Buffer.concat([content, Buffer.alloc((512 - (content.length % 512)) % 512)]);
}
